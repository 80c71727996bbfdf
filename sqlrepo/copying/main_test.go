package copying_test

import (
	"testing"

	"github.com/guppy-prep/guppy/internal/testing/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }
