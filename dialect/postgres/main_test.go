package postgres_test

import (
	"testing"

	"github.com/guppy-prep/guppy/internal/testing/dialecttest"
)

func TestMain(m *testing.M) { dialecttest.Main(m) }
