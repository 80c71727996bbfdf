package shortage_test

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"

	"github.com/guppy-prep/guppy/internal/host/shortage"
)

func TestKinds(t *testing.T) {
	for _, tt := range []struct {
		err                 error
		exhausted, is, bars bool
	}{
		{syscall.EMFILE, true, true, true},
		{syscall.ENFILE, true, true, true},
		{syscall.ENOMEM, true, true, true},
		{syscall.ENOSPC, false, true, true},
		{syscall.EDQUOT, false, true, true},
		{syscall.EROFS, false, true, true},
		{syscall.EACCES, false, false, true},
		{syscall.EPERM, false, false, true},
		{syscall.ENOENT, false, false, false},
		{syscall.EIO, false, false, false},
		{errors.New("too many open files"), false, false, false},
		{nil, false, false, false},
	} {
		err := tt.err
		if err != nil {
			err = fmt.Errorf("wrapped: %w", &fs.PathError{Op: "open", Path: "x", Err: err})
		}

		if shortage.Exhausted(err) != tt.exhausted || shortage.Is(err) != tt.is || shortage.Bars(err) != tt.bars {
			t.Errorf("%v: %v %v %v", tt.err, shortage.Exhausted(err), shortage.Is(err), shortage.Bars(err))
		}
	}
}
