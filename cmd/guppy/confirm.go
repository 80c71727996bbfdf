package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"
)

var (
	errUnasked  = fmt.Errorf("%w: there is no terminal to ask on: use --yes to continue without asking", errUsage)
	errDeclined = errors.New("nothing was changed: the answer was not yes")
)

// confirm asks on a terminal whether to go on, unless yes is true. It returns errDeclined for any answer but yes,
// and errUnasked if there is no terminal to ask on.
func (a *app) confirm(ctx context.Context, yes bool, question string) error {
	if yes {
		return nil
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return errUnasked
	}

	fmt.Fprintf(a.screen, "%s [y/N] ", question)
	answers := make(chan string, 1)
	// A signal can't interrupt the read of a terminal. The read ends with the process.
	go func() {
		line, _ := bufio.NewReader(os.Stdin).ReadString('\n')
		answers <- strings.ToLower(strings.TrimSpace(line))
	}()

	select {
	case <-ctx.Done():
		fmt.Fprintln(a.screen)
		return ctx.Err()
	case answer := <-answers:
		if answer != "y" && answer != "yes" {
			return errDeclined
		}
		return nil
	}
}
