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
// back.
func TestProxyDelaysAndDoesNotLimit(t *testing.T) {
	const delay, size = 2 * time.Second, 8 << 20
	_, conn := through(t, delay)
	sent := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(sent)

	began := time.Now()
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
