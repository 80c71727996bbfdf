package conformance

import (
	"context"
	"errors"
	"io"
	"reflect"

	"github.com/guppy-prep/guppy/sqlrepo"
)

func contexts() []test {
	return []test{
		{"that have ended stop every method", endedContext},
		{"give their cause", contextCause},
		{"end inside an iteration", contextEndsMeanwhile},
	}
}

// endedContext calls every method with an ended context and zero values.
func endedContext(f *fixture) {
	ended, cancel := context.WithCancel(f.ctx)
	cancel()

	for _, part := range []any{f.Repository, f.Copier, f.Remover, f.Auditor} {
		for method, value := range reflect.ValueOf(part).Methods() {
			if value.Type().NumIn() == 0 || value.Type().In(0) != reflect.TypeFor[context.Context]() {
				continue // it uses no database
			}

			args := []reflect.Value{reflect.ValueOf(ended)}
			for i := 1; i < value.Type().NumIn(); i++ {
				args = append(args, f.nothing(value.Type().In(i)))
			}

			call := value.Call
			if value.Type().IsVariadic() {
				call = value.CallSlice
			}

			if err := lastError(call(args)); !errors.Is(err, context.Canceled) {
				f.t.Errorf("%s: %v", method.Name, err)
			}
		}
	}
}

// nothing returns the smallest value for an argument.
func (f *fixture) nothing(wanted reflect.Type) reflect.Value {
	switch wanted {
	case reflect.TypeFor[*sqlrepo.Repository]():
		return reflect.ValueOf(f.Repository)
	case reflect.TypeFor[sqlrepo.Sealable]():
		return reflect.ValueOf(&sqlrepo.PackedShard{})
	case reflect.TypeFor[io.Writer]():
		return reflect.ValueOf(io.Discard)
	case reflect.TypeFor[func()]():
		return reflect.ValueOf(func() {})
	}
	return reflect.Zero(wanted)
}

// lastError returns the error that a method returned, or the first error of the iterator that it returned.
func lastError(results []reflect.Value) error {
	last := results[len(results)-1]
	if last.Kind() != reflect.Func {
		err, _ := reflect.TypeAssert[error](last)
		return err
	}
	for _, yielded := range last.Seq2() {
		err, _ := reflect.TypeAssert[error](yielded)
		return err
	}
	return nil
}

func contextCause(f *fixture) {
	ended, cancel := context.WithCancelCause(f.ctx)
	cancel(errStop)
	_, err := f.Spaces(ended)
	f.fails(err, errStop)
	f.fails(err, context.Canceled)
}

func contextEndsMeanwhile(f *fixture) {
	stage := f.newStage()
	f.add(stage, many(4500)...)

	ctx, cancel := context.WithCancel(f.ctx)
	defer cancel()

	n, failed := 0, error(nil)
	for _, err := range f.Linkables(ctx, stage.Upload.ID) {
		if failed = err; err != nil {
			break
		}
		n++
		cancel()
	}

	f.fails(failed, context.Canceled)
	if n == 0 || n == 4500 {
		f.t.Errorf("%d of 4500 entries", n)
	}
}
