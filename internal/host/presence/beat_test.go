package presence_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/guppy-prep/guppy/internal/host/presence"
)

func TestALeaseIsRenewedThreeTimesInItsTerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute+time.Second)
		defer cancel()
		renewed := 0
		err := presence.Beat(ctx, time.Minute, func() error {
			renewed++
			return nil
		})
		if renewed != 3 || err != nil {
			t.Errorf("renewed %d times: %v", renewed, err)
		}
	})
}

func TestAFailedRenewalEndsTheBeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failure := errors.New("lost")
		if err := presence.Beat(t.Context(), time.Minute, func() error { return failure }); !errors.Is(err, failure) {
			t.Error(err)
		}
	})
}
