package webserver

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
)

// Record types and values of the FastCGI specification 1.0, section 8.
const (
	fcgiVersion    = 1
	fcgiBegin      = 1
	fcgiEnd        = 3
	fcgiParams     = 4
	fcgiStdin      = 5
	fcgiStdout     = 6
	fcgiResponder  = 1
	fcgiRequestID  = 1
	fcgiHeaderSize = 8
	// maxFCGIRecord is the longest content of a record.
	maxFCGIRecord = 1<<16 - 1
)

// maxFCGIAnswer bounds what is read of an answer.
const maxFCGIAnswer = 16 << 10

// fcgiGet runs a script with one request without a body, and returns what it
// wrote, header and body. Address is as in Config.PHPFPM.
func fcgiGet(ctx context.Context, address string, params [][2]string) ([]byte, error) {
	network, target := "tcp", address
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, target = "unix", path
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, target)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	request, err := fcgiRequest(params)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(request); err != nil {
		return nil, err
	}
	return fcgiAnswer(bufio.NewReader(conn))
}

func fcgiRequest(params [][2]string) ([]byte, error) {
	var pairs []byte
	for _, p := range params {
		pairs = fcgiLength(pairs, len(p[0]))
		pairs = fcgiLength(pairs, len(p[1]))
		pairs = append(append(pairs, p[0]...), p[1]...)
	}
	if len(pairs) > maxFCGIRecord {
		return nil, errors.New("the parameters are too long for one record")
	}
	out := fcgiRecord(nil, fcgiBegin, []byte{0, fcgiResponder, 0, 0, 0, 0, 0, 0})
	out = fcgiRecord(out, fcgiParams, pairs)
	out = fcgiRecord(out, fcgiParams, nil)
	return fcgiRecord(out, fcgiStdin, nil), nil
}

// fcgiLength appends the length of a name or a value: one byte below 128, else
// four with the highest bit set.
func fcgiLength(out []byte, n int) []byte {
	if n < 128 {
		return append(out, byte(n))
	}
	return binary.BigEndian.AppendUint32(out, uint32(n)|1<<31)
}

func fcgiRecord(out []byte, kind byte, content []byte) []byte {
	out = append(out, fcgiVersion, kind, 0, fcgiRequestID)
	out = binary.BigEndian.AppendUint16(out, uint16(len(content)))
	out = append(out, 0, 0)
	return append(out, content...)
}

// fcgiAnswer reads records up to the end of the request.
func fcgiAnswer(r io.Reader) ([]byte, error) {
	var (
		header [fcgiHeaderSize]byte
		out    bytes.Buffer
	)
	for {
		if _, err := io.ReadFull(r, header[:]); err != nil {
			return nil, fmt.Errorf("the answer ends early: %w", err)
		}
		content := make([]byte, int(binary.BigEndian.Uint16(header[4:]))+int(header[6]))
		if _, err := io.ReadFull(r, content); err != nil {
			return nil, fmt.Errorf("the answer ends early: %w", err)
		}
		content = content[:len(content)-int(header[6])]
		switch header[1] {
		case fcgiStdout:
			out.Write(content)
		case fcgiEnd:
			return out.Bytes(), nil
		}
		if out.Len() > maxFCGIAnswer {
			return nil, fmt.Errorf("the answer is longer than %d bytes", maxFCGIAnswer)
		}
	}
}
