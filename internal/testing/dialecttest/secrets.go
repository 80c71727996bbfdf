package dialecttest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// Hidden is a part of passwords that must never be printed.
const Hidden = "hunter2"

// RequireHidden prints values in every way that a program might, and fails the test if the password shows.
func RequireHidden(t *testing.T, what string, values ...any) {
	t.Helper()
	var log bytes.Buffer
	text, encoded := slog.New(slog.NewTextHandler(&log, nil)), slog.New(slog.NewJSONHandler(&log, nil))
	for _, value := range values {
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			fmt.Fprintf(&log, format, value)
		}
		if asJSON, err := json.Marshal(value); err == nil {
			log.Write(asJSON)
		}

		text.Info("value", "value", value)
		encoded.Info("value", "value", value)
	}
	if at := strings.Index(log.String(), Hidden); at >= 0 {
		t.Errorf("%s: the password shows in %s", what, log.String()[max(0, at-100):at+len(Hidden)])
	}
}

// Chain returns an error and all errors that it wraps.
func Chain(err error) (all []any) {
	if err == nil {
		return nil
	}

	all = append(all, err)
	switch wrapper := err.(type) { //nolint:errorlint // it walks the chain itself
	case interface{ Unwrap() error }:
		all = append(all, Chain(wrapper.Unwrap())...)
	case interface{ Unwrap() []error }:
		for _, wrapped := range wrapper.Unwrap() {
			all = append(all, Chain(wrapped)...)
		}
	}
	return all
}
