package chaos

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// conversation is one connection through a relay. Its messages are described in
// https://www.postgresql.org/docs/current/protocol-message-formats.html
type conversation struct {
	relay          *Relay
	client, server net.Conn
	// asked is set while the server owes an answer, losing while that answer is to be lost.
	asked, losing atomic.Bool
	// parsed is the statement that the client last sent. statements are those of its open transaction.
	parsed     string
	statements []string
	inside     bool
}

func (c *conversation) run() {
	var both sync.WaitGroup
	both.Go(func() {
		_ = c.requests()
		c.end()
	})
	both.Go(func() {
		_ = c.answers()
		c.end()
	})
	both.Wait()
}

func (c *conversation) end() {
	_ = c.client.Close()
	_ = c.server.Close()
}

func (c *conversation) requests() error {
	in := bufio.NewReader(c.client)
	startup, err := message(in, 0)
	for err == nil {
		c.asked.Store(true)
		if _, err = c.server.Write(startup); err != nil {
			return err
		}
		if startup, err = message(in, 1); err == nil && c.note(startup[0], startup[5:]) == Request {
			return nil
		}
	}
	return err
}

// message reads one message. Its length follows the bytes of its type.
func message(in io.Reader, typed int) ([]byte, error) {
	head := make([]byte, typed+4)
	if _, err := io.ReadFull(in, head); err != nil {
		return nil, err
	}

	length := int(binary.BigEndian.Uint32(head[typed:])) + typed
	if length < len(head) {
		return nil, io.ErrUnexpectedEOF
	}

	whole := append(make([]byte, 0, length), head...)[:length]
	_, err := io.ReadFull(in, whole[len(head):])
	return whole, err
}

// note follows the client's transaction and returns what is lost of a commit.
func (c *conversation) note(kind byte, body []byte) Loss {
	switch kind {
	case 'P':
		_, text, _ := bytes.Cut(body, []byte{0})
		c.parsed, _, _ = strings.Cut(string(text), "\x00")
	case 'E':
		return c.execute(c.parsed)
	case 'Q':
		return c.execute(strings.TrimSuffix(string(body), "\x00"))
	}
	return Nothing
}

func (c *conversation) execute(statement string) (loss Loss) {
	switch word, _, _ := strings.Cut(statement, " "); word {
	case "begin":
		c.inside, c.statements = true, nil
	case "rollback":
		c.inside = false
	case "commit":
		c.inside = false
		loss = c.relay.loss(c.statements)
	default:
		c.statements = append(c.statements, statement)
		if !c.inside {
			loss = c.relay.loss([]string{statement})
		}
	}
	if !c.inside {
		c.statements = slices.Delete(c.statements, 0, len(c.statements))
	}

	// Keep the answer back until it is whole: a client that lost its connection earlier would cancel the commit.
	if loss == Answer {
		c.losing.Store(true)
	}
	return loss
}

func (c *conversation) answers() error {
	in, out := bufio.NewReader(c.server), bufio.NewWriter(c.client)
	for {
		answer, err := message(in, 1)
		if err != nil {
			return err
		}
		if c.asked.Swap(false) {
			c.relay.turns.Add(1)
		}
		if c.losing.Load() {
			if answer[0] == readyForQuery {
				return nil
			}
			continue
		}

		if _, err = out.Write(answer); err == nil && in.Buffered() == 0 {
			err = out.Flush()
		}
		if err != nil {
			return err
		}
	}
}

// readyForQuery ends each answer.
const readyForQuery = 'Z'
