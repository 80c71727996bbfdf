package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// scriptJSON examines standard output, which must be one JSON value: [!] json PATH [VALUE]
//
// The parts of a path are names and indexes, separated by dots. The name "len" stands for the number of elements
// of an array.
func scriptJSON(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 || len(args) > 2 {
		ts.Fatalf("usage: [!] json path [value]")
	}
	document, err := decodeOne(ts.ReadFile("stdout"))
	ts.Check(err)
	got, found := lookUp(document, args[0])
	matches := found && (len(args) == 1 || got == args[1])
	if matches == neg {
		ts.Fatalf("%s: found %t, %q", args[0], found, got)
	}
}

// scriptSave stores a value of the JSON on standard output in the environment: save NAME PATH
func scriptSave(ts *testscript.TestScript, args []string) error {
	document, err := decodeOne(ts.ReadFile("stdout"))
	if err != nil {
		return err
	}
	value, found := lookUp(document, args[1])
	if !found {
		return fmt.Errorf("no %s", args[1])
	}
	ts.Setenv(args[0], value)
	return nil
}

// decodeOne returns an error for anything but one JSON value.
func decodeOne(text string) (document any, err error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&document); err != nil {
		return nil, fmt.Errorf("no JSON: %w in %q", err, text)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("more than one JSON value in %q", text)
	}
	return document, nil
}

func lookUp(value any, path string) (text string, found bool) {
	for name := range strings.SplitSeq(path, ".") {
		if value, found = member(value, name); !found {
			return "", false
		}
	}
	if text, isText := value.(string); isText {
		return text, true
	}
	encoded, err := json.Marshal(value)
	return string(encoded), err == nil
}

func member(value any, name string) (any, bool) {
	switch value := value.(type) {
	case map[string]any:
		v, found := value[name]
		return v, found
	case []any:
		if name == "len" {
			return len(value), true
		}

		i, err := strconv.Atoi(name)
		if err != nil || i < 0 || i >= len(value) {
			return nil, false
		}
		return value[i], true
	}
	return nil, false
}

// scriptJSONLines checks that a file has lines and that each line is a JSON object: jsonlines FILE
func scriptJSONLines(ts *testscript.TestScript, args []string) error {
	text := ts.ReadFile(args[0])
	if text == "" {
		return errors.New("no lines")
	}
	lines := bufio.NewScanner(bytes.NewBufferString(text))
	for lines.Scan() {
		var object map[string]any
		if err := json.Unmarshal(lines.Bytes(), &object); err != nil {
			return fmt.Errorf("%q: %w", lines.Text(), err)
		}
	}
	return lines.Err()
}
