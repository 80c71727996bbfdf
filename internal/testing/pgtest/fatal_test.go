package pgtest

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/internal/testing/pgtest/cluster"
)

// failing is a test that remembers why it failed and ends its goroutine, as a real test does.
type failing struct {
	testing.TB
	message string
}

func (*failing) Helper() {}

func (f *failing) Fatalf(format string, args ...any) {
	f.message = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// messageOf runs a function that must fail its test, and returns the message.
func messageOf(fail func(testing.TB)) string {
	tb := &failing{}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		fail(tb)
	}()
	<-ended
	return tb.message
}

func TestFailureSaysHowToGetServer(t *testing.T) {
	message := messageOf(func(tb testing.TB) { fatal(tb, fmt.Errorf("start: %w", cluster.ErrNoPrograms)) })
	for _, advice := range []string{"apt-get install postgresql", "compose.yaml", EnvURL} {
		if !strings.Contains(message, advice) {
			t.Errorf("%q doesn't mention %s", message, advice)
		}
	}
}

func TestFailureSaysHowToGetBouncer(t *testing.T) {
	message := messageOf(func(tb testing.TB) { fatal(tb, cluster.ErrNoBouncer) })
	if !strings.Contains(message, "apt-get install pgbouncer") {
		t.Errorf("%q says nothing of it", message)
	}
}

func TestURLRefusesWhatIsNoURLAndKeepsItSecret(t *testing.T) {
	for _, text := range []string{"host=db password=hush", "postgres://u:hush@host:port/x", "mysql://u:hush@h/"} {
		t.Setenv(EnvURL, text)
		message := messageOf(func(tb testing.TB) { URL(tb) })
		if !strings.Contains(message, EnvURL) || strings.Contains(message, "hush") {
			t.Errorf("%s: message %q", text, message)
		}
	}
}
