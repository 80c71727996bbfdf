package copying

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func column() *rapid.Generator[any] {
	return rapid.OneOf(rapid.Just[any](nil), rapid.Map(rapid.Int64(), toAny[int64]),
		rapid.Map(rapid.String(), toAny[string]), rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 8), toAny[[]byte]))
}

func toAny[T any](value T) any { return value }

func sumOf(t *rapid.T, rows [][]any) string {
	var sum rowSum
	for _, row := range rows {
		if err := sum.add(row); err != nil {
			t.Fatal(err)
		}
	}
	return sum.String()
}

// TestSumsTellRowsApart: the order of rows makes no difference, anything else does.
func TestSumsTellRowsApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.SliceOfN(rapid.SliceOfN(column(), 3, 3), 1, 6).Draw(t, "rows")
		sum := sumOf(t, rows)
		shuffled := slices.Clone(rows)
		seed := rapid.Uint64().Draw(t, "seed")
		rand.New(rand.NewPCG(seed, 0)).Shuffle(len(rows), func(i, k int) {
			shuffled[i], shuffled[k] = shuffled[k], shuffled[i]
		})
		if got := sumOf(t, shuffled); got != sum {
			t.Errorf("in another order: %s, %s before", got, sum)
		}
		if sumOf(t, append(shuffled, rows[0])) == sum || sumOf(t, rows[1:]) == sum {
			t.Error("a row more or less makes no difference")
		}
		changed := slices.Clone(rows[0])
		at, other := rapid.IntRange(0, 2).Draw(t, "at"), column().Draw(t, "other")
		if reflect.DeepEqual(other, changed[at]) {
			return
		}
		changed[at] = other
		if sumOf(t, append([][]any{changed}, rows[1:]...)) == sum {
			t.Errorf("%v instead of %v makes no difference", changed, rows[0])
		}
	})
}

func TestSumsKeepColumnsApart(t *testing.T) {
	different := map[string][]any{}
	rapid.Check(t, func(t *rapid.T) {
		for _, row := range [][]any{{"a", "b"}, {"ab", ""}, {"", "ab"}, {[]byte("a"), "b"}, {nil, "ab"}, {"", nil},
			{[]byte{}, nil}, {int64(0), nil}, {int64(-1), nil}} {
			sum := sumOf(t, [][]any{row})
			if other, there := different[sum]; there && !reflect.DeepEqual(other, row) {
				t.Errorf("%v looks like %v", row, other)
			}
			different[sum] = row
		}
	})
}

func TestSumsRefuseUnknownTypes(t *testing.T) {
	if err := new(rowSum).add([]any{1.5}); err == nil {
		t.Error("a fraction was taken")
	}
}
