package pace

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const asked = "SITEKEEP_TEST_NICE"

// TestMain stands in for a daemon when asked to: what it does to itself cannot be undone.
func TestMain(m *testing.M) {
	list := os.Getenv(asked)
	if list == "" {
		os.Exit(m.Run())
	}
	for text := range strings.FieldsSeq(list) {
		n, err := strconv.Atoi(text)
		if err == nil {
			err = Nice(n)
		}
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	threads, _ := os.ReadDir("/proc/self/task")
	for _, t := range threads {
		tid, _ := strconv.Atoi(t.Name())
		got, _ := unix.Getpriority(unix.PRIO_PROCESS, tid)
		fmt.Println(highest - got)
	}
	session, _ := os.ReadFile(autogroup)
	fmt.Print(string(session))
}

// daemon runs a process of its own session, and returns the niceness of each of its threads and what the kernel says of
// its session.
func daemon(t *testing.T, niceness string) (threads []string, session string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), asked+"="+niceness)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, line := range strings.Fields(string(out)) {
		if _, err := strconv.Atoi(line); err != nil {
			_, session, _ = strings.Cut(string(out), line)
			break
		}
		threads = append(threads, line)
	}
	return threads, session
}

func TestNice(t *testing.T) {
	before, _ := daemon(t, "0")
	mine, err := strconv.Atoi(before[0])
	if err != nil {
		t.Fatal(err)
	}
	for asked, want := range map[string]int{"0": mine, "18": max(mine, 18), "19": 19, "19 5": 19} {
		threads, session := daemon(t, asked)
		if len(threads) < 2 {
			t.Errorf("only the threads %q", threads)
		}
		for _, got := range threads {
			if got != strconv.Itoa(want) {
				t.Errorf("asked for %s: %q, want %d", asked, threads, want)
				break
			}
		}
		if asked == "18" && want > mine && session != "" && !strings.Contains(session, "nice 18") {
			t.Errorf("the session: %q", session)
		}
	}
}
