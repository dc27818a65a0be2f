package main

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	pb "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

func TestJSONOfMessages(t *testing.T) {
	rows := []struct {
		message proto.Message
		want    string
	}{
		{&pb.GetBackupRequest{}, `{"id":"","site":""}`},
		{&pb.Progress{Step: `a"b\c<&>é`, DoneBytes: math.MaxInt64, TotalBytes: -1}, `{"step":"a\"b\\c<&>é","done_bytes":9223372036854775807,"total_bytes":-1,"files":0}`},
		{&pb.AllowedRoot{FreeBytes: math.MaxUint64}, `{"path":"","free_bytes":18446744073709551615}`},
		{&pb.ListTasksRequest{States: []pb.TaskState{0, 7, 99}}, `{"site":"","states":["unspecified","needs_operator",99],"page_size":0}`},
		{&pb.WatchTaskResponse{Event: &pb.WatchTaskResponse_Log{Log: &pb.LogLine{Line: 1, Time: &timestamppb.Timestamp{Seconds: 1, Nanos: 5e8}}}},
			`{"log":{"line":1,"time":"1970-01-01T00:00:01.5Z","level":"","text":""},"task":null}`},
		{&pb.RestoreSiteRequest{Grace: durationpb.New(1500 * time.Millisecond)}, `{"site":"","backup":"","grace":"1.5s","queue":false,"files_only":false,"db_only":false,"paths":[],"tables":[]}`},
		{&pb.RestoreSiteRequest{Grace: durationpb.New(0)}, `{"site":"","backup":"","grace":"0s","queue":false,"files_only":false,"db_only":false,"paths":[],"tables":[]}`},
		{&pb.RestoreSiteRequest{}, `{"site":"","backup":"","grace":null,"queue":false,"files_only":false,"db_only":false,"paths":[],"tables":[]}`},
		{&pb.ReadEntryResponse{Data: []byte{0, 0xff}}, `{"data":"AP8=","sha256":""}`},
		{&pb.LogLine{Text: "\x1b\x00\u0085\u202e\U000e0001\n"}, `{"line":0,"time":null,"level":"","text":"\u001b\u0000\u0085\u202e\udb40\udc01\u000a"}`},
		{&structpb.Struct{Fields: map[string]*structpb.Value{"b": structpb.NewBoolValue(true), "a": structpb.NewNumberValue(0.1)}},
			`{"fields":{"a":{"null_value":null,"number_value":0.1,"string_value":null,"bool_value":null,"struct_value":null,"list_value":null},` +
				`"b":{"null_value":null,"number_value":null,"string_value":null,"bool_value":true,"struct_value":null,"list_value":null}}}`},
		{wrapperspb.Double(math.Inf(1)), `{"value":"+Inf"}`},
		{&descriptorpb.EnumOptions{}, ``},
	}
	for _, row := range rows {
		got := string(appendMessage(nil, row.message.ProtoReflect()))
		if row.want != "" && got != row.want {
			t.Errorf("%T:\n got %s\nwant %s", row.message, got, row.want)
		}
		if !json.Valid([]byte(got)) {
			t.Errorf("%T is no JSON: %s", row.message, got)
		}
	}
}

func TestJSONArrays(t *testing.T) {
	var out bytes.Buffer
	array := &jsonArray{w: &out}
	for _, id := range []string{"a", "b"} {
		if err := array.add(&pb.GetTaskRequest{Id: id}); err != nil {
			t.Fatal(err)
		}
	}
	if err := array.close(); err != nil {
		t.Fatal(err)
	}
	const want = "[\n  {\n    \"id\": \"a\"\n  },\n  {\n    \"id\": \"b\"\n  }\n]\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
	out.Reset()
	if err := (&jsonArray{w: &out}).close(); err != nil || out.String() != "[]\n" {
		t.Errorf("an empty list is %q (%v)", out.String(), err)
	}
}

func FuzzJSONStrings(f *testing.F) {
	f.Add("plain")
	f.Add("\x1b[2J\u2028\u0085\U000e0001\"\\")
	f.Fuzz(func(t *testing.T, text string) {
		quoted := appendString(nil, text)
		var back string
		if err := json.Unmarshal(quoted, &back); err != nil {
			t.Fatalf("%q: %v", quoted, err)
		}
		if valid := string([]rune(text)); back != valid {
			t.Fatalf("%q came back as %q", valid, back)
		}
		if bytes.ContainsFunc(quoted, hostile) {
			t.Fatalf("%q holds characters that a terminal obeys", quoted)
		}
	})
}
