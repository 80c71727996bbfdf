package sqlrepo_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// TestStatesChangeInOneFile demands that no other file than upload_states.go sets the state of uploads, in this package
// and those below it.
func TestStatesChangeInOneFile(t *testing.T) {
	changes := map[string]int{}
	err := filepath.WalkDir(".", func(file string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(file) != ".go" || strings.HasSuffix(file, "_test.go") {
			return err
		}

		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(parsed, func(node ast.Node) bool {
			if call, ok := node.(*ast.CallExpr); ok && setsState(call) {
				changes[file]++
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}

	if changes["upload_states.go"] == 0 {
		t.Error("upload_states.go sets no state")
	}
	delete(changes, "upload_states.go")
	for file, n := range changes {
		t.Errorf("%s sets the state of uploads in %d places", file, n)
	}
}

// setsState reports whether a call is Set("state", ...) on an update of uploads.
func setsState(call *ast.CallExpr) bool {
	set, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || set.Sel.Name != "Set" || len(call.Args) != 2 || !isString(call.Args[0], "state") {
		return false
	}
	uploads := false
	ast.Inspect(set.X, func(node ast.Node) bool {
		update, ok := node.(*ast.CallExpr)
		if !ok {
			return true
		}
		name, ok := update.Fun.(*ast.SelectorExpr)
		uploads = uploads || ok && name.Sel.Name == "Update" && isString(update.Args[0], "uploads")
		return true
	})
	return uploads
}

func isString(node ast.Expr, text string) bool {
	literal, ok := node.(*ast.BasicLit)
	return ok && literal.Value == `"`+text+`"`
}
