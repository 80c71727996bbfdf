package main

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"
)

// echo serves one connection after the other and returns each byte, until the test ends.
func echo(t *testing.T) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}

	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(conn, conn)
			_ = conn.Close()
		}
	}()

	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	return listener.Addr().String()
}

func through(t *testing.T, delay time.Duration) (*proxy, *net.TCPConn) {
	t.Helper()
	p, err := newProxy(t.Context(), echo(t), delay)
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() {
		if err := p.close(); err != nil {
			t.Error(err)
		}
	})

	conn, err := net.Dial("tcp", p.address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return p, conn.(*net.TCPConn)
}

// TestProxyDelaysAndDoesNotLimit sends far more than sockets hold. All of it is on its way before any of it is
// back. The connection takes a round trip, too.
func TestProxyDelaysAndDoesNotLimit(t *testing.T) {
	const delay, size = 2 * time.Second, 8 << 20
	began := time.Now()
	_, conn := through(t, delay)
	sent := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(sent)

	written := make(chan error, 1)
	go func() {
		_, err := conn.Write(sent)
		written <- errors.Join(err, conn.CloseWrite())
	}()

	first := make([]byte, 1)
	if _, err := io.ReadFull(conn, first); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 4*delay {
		t.Errorf("the first byte was back after %v", took)
	}

	select {
	case err := <-written:
		if err != nil {
			t.Fatal(err)
		}
	default:
		t.Error("a byte was back before all were sent")
	}

	rest, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(append(first, rest...), sent) {
		t.Errorf("%d other bytes came back", 1+len(rest))
	}
}

func TestProxyClosesWhatIsOpen(t *testing.T) {
	p, conn := through(t, time.Millisecond)
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}

	if err := p.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is still open")
	}
	if again, err := net.DialTimeout("tcp", p.address(), time.Second); err == nil {
		t.Errorf("%s still listens", again.RemoteAddr())
	}
}

func TestProxyBreaksOffWhatItCanNotPassOn(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nowhere := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}

	p, err := newProxy(t.Context(), nowhere, 0)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", p.address())
	if err != nil {
		t.Fatal(err)
	}

	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("a server that is not there has answered")
	}
	_ = conn.Close()
	if err := p.close(); err != nil {
		t.Error(err)
	}
}

// TestProxyCountsTurns counts a request in two parts as one turn, and the next one as another.
func TestProxyCountsTurns(t *testing.T) {
	p, conn := through(t, 10*time.Millisecond)
	answer := make([]byte, len("PUT /a"))
	for _, parts := range [][]string{{"PUT", " /a"}, {"GET /b"}} {
		for _, part := range parts {
			if _, err := conn.Write([]byte(part)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := io.ReadFull(conn, answer); err != nil {
			t.Fatal(err)
		}
	}
	if got := p.traffic(); got.turns != 2 || got.connections != 1 || got.requests["GET"] != 1 {
		t.Errorf("counted %+v", got)
	}
}

func TestSitesBeginWithoutLatency(t *testing.T) {
	d, err := parseDistances("5ms, 80ms", "1,4")
	if err != nil {
		t.Fatal(err)
	}
	sites := d.sites()
	if len(sites) != 2*7 || sites[0].String() != "near, 1 worker" || sites[13].String() != "both 80ms, 4 workers" {
		t.Errorf("sites %v", sites)
	}
	for _, bad := range [][2]string{{"far", "1"}, {"0s", "1"}, {"5ms", "0"}, {"5ms", "many"}} {
		if _, err := parseDistances(bad[0], bad[1]); !errors.Is(err, errUsage) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
