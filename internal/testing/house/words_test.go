package house_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// foreignWords are words that Go's documentation has others for: reports whether, is true if, again, is not one, any
// caller.
var foreignWords = regexp.MustCompile(`\b(tells (whether|that)|anew|(it|that|what|which) is none|whoever)\b`)

// TestCommentsUsePlainWords looks for foreignWords in all comments.
func TestCommentsUsePlainWords(t *testing.T) {
	comments := 0
	err := filepath.WalkDir(top, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			return enter(file, entry)
		case !strings.HasSuffix(file, ".go"):
			return nil
		}

		files := token.NewFileSet()
		parsed, err := parser.ParseFile(files, file, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		for _, group := range parsed.Comments {
			comments++
			if word := foreignWords.FindString(group.Text()); word != "" {
				t.Errorf("%s: %q", files.Position(group.Pos()), word)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if comments == 0 {
		t.Error("no comments were found")
	}
}
