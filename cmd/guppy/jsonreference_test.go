package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/testing/documents"
)

const jsonIntro = "# JSON\n\n" +
	"This page is made from the program by `make docs`.\n\n" +
	"With `--json` a command prints one object, in one line. Its field `schema` is the version of what is described\n" +
	"here, 1. The version is raised when a field gets another name, type or meaning, or goes away; a field may be\n" +
	"added at any time, so ignore those that you do not know. Errors and the log go to standard error, and the exit\n" +
	"code says whether the command succeeded: some commands print an object although they failed.\n\n" +
	"`--format` and `--sort` of lists use the names of the fields of a row:\n\n" +
	"```sh no-run\n" +
	"guppy upload ls photos --sort=-bytes --format '{{.root_cid}} {{.bytes}}'\n" +
	"guppy upload ls photos --json | jq -r '.uploads[] | select(.state == \"complete\").root_cid'\n" +
	"```\n\n" +
	"## Names\n\n" +
	"A thing has the same fields wherever it is printed.\n\n" +
	"| name | what it is |\n|---|---|\n" +
	"| `space`, `source`, `store`, `replica`, `table`, `migration` | always a name |\n" +
	"| `space_did`, `store_url`, `store_identity`, `source_path` | other things that such a name stands for |\n" +
	"| `upload` | always the number of an upload |\n" +
	"| `upload_path` | an upload and a path in it, as commands take them |\n" +
	"| `root_cid`, `index_cid`, `piece_cid` | the CID of that thing |\n" +
	"| `cid` | the CID of the thing that the object is about |\n" +
	"| `shards`, `uploads` and other plurals | always a list, never null |\n" +
	"| `space_names`, `shard_cids`, `upload_numbers` | a list of names, CIDs or numbers |\n" +
	"| `shard_count`, `new_file_count` | always how many |\n" +
	"| `bytes`, `stored_bytes`, `new_bytes`, `shard_size` | always a size in bytes, a number; that of the files that " +
	"`new_file_count` counts is `new_bytes` |\n" +
	"| `read_bytes` | what was read, or would be |\n" +
	"| `free_bytes` | room that is left in a store |\n" +
	"| `started_at` and others with `_at`, `time` | a time in RFC 3339, in UTC |\n" +
	"| `seconds`, `silent_seconds` | a duration |\n" +
	"| `version` | the version of the program; `schema_version` is that of a schema of the database |\n" +
	"| `state` | a word: how far a thing is |\n" +
	"| `dry_run` | true if nothing was changed |\n" +
	"| `finished` | false if an error has cut a list short |\n" +
	"| `path`, `path_base64` | a path, and its bytes if they are not UTF-8 |\n" +
	"| `file`, `key_file`, `backup_file` | the path of a file on this host |\n" +
	"| `file_name` | the name of a file in a store, or of a migration |\n" +
	"| `origin` | where a setting comes from |\n" +
	"| `reason` | why, or what is wrong, for people |\n\n" +
	"A field that is *optional* is absent when there is nothing to say, or when the value is not known yet.\n"

// TestReferenceOfJSON compares docs/reference/json.md with the types of what commands print.
func TestReferenceOfJSON(t *testing.T) {
	comments := fieldComments{t: t, packages: map[string]map[string]string{}}
	var text strings.Builder
	text.WriteString(jsonIntro)

	// The sections of types that only other objects have come last.
	text.WriteString("\n## Commands\n")
	outputs, used := jsonOutputs(), []reflect.Type{}
	for _, command := range listCommands((&app{}).rootCommand()) {
		path := strings.TrimPrefix(command.CommandPath(), "guppy ")
		if without := withoutJSON[path]; without != "" {
			fmt.Fprintf(&text, "\n### %s\n\nPrints %s.\n", command.CommandPath(), without)
			continue
		}
		fmt.Fprintf(&text, "\n### %s\n", command.CommandPath())
		for _, output := range outputs[path] {
			if output.when != "" {
				fmt.Fprintf(&text, "\n%s:\n", strings.TrimLeft(upperFirst(output.when), ",; "))
			}
			used = comments.table(&text, output.fields, used)
		}
	}

	text.WriteString("\n## Lines of progress\n\n`--progress json` writes such an object to standard error every second.\n")
	used = comments.table(&text, jsonFields(reflect.TypeFor[progress.Line]()), used)

	text.WriteString("\n## Objects\n")
	for i := 0; i < len(used); i++ {
		fmt.Fprintf(&text, "\n### %s\n", upperFirst(typeTitle(used[i])))
		used = comments.table(&text, jsonFields(used[i]), used)
	}
	documents.Compare(t, "../../docs/reference/json.md", text.String())
}

func upperFirst(text string) string {
	text = strings.TrimLeft(text, ",; ")
	return strings.ToUpper(text[:1]) + text[1:]
}

// typeTitle returns the name of a type in words: uploadView is an upload.
func typeTitle(t reflect.Type) string {
	var words strings.Builder
	if base := filepath.Base(t.PkgPath()); base != "guppy" {
		words.WriteString(base)
	}
	for _, r := range t.Name() {
		if unicode.IsUpper(r) && words.Len() > 0 {
			words.WriteByte(' ')
		}
		words.WriteRune(unicode.ToLower(r))
	}
	return strings.TrimSuffix(words.String(), " view")
}

// fieldComments finds what the source says about the fields of types.
type fieldComments struct {
	t *testing.T
	// packages holds comments by package, and by type and field.
	packages map[string]map[string]string
}

// table writes a table of fields, and returns the types that sections describe with those that the table adds.
func (c fieldComments) table(text *strings.Builder, fields []jsonField, used []reflect.Type) []reflect.Type {
	text.WriteString("\n| field | type | |\n|---|---|---|\n")
	for _, field := range fields {
		shown := jsonTypeName(field.field.Type)
		if held := elementType(field.field.Type); held.Kind() == reflect.Struct && held != reflect.TypeFor[time.Time]() {
			if !slices.Contains(used, held) {
				used = append(used, held)
			}
		}
		if field.optional {
			shown += ", optional"
		}
		fmt.Fprintf(text, "| `%s` | %s | %s |\n", field.name, shown, c.comment(field))
	}
	return used
}

func jsonTypeName(t reflect.Type) string {
	switch {
	case t.Kind() == reflect.Pointer:
		return jsonTypeName(t.Elem())
	case t.Kind() == reflect.Slice:
		return "list of " + jsonTypeName(t.Elem())
	case t == reflect.TypeFor[instant](), t == reflect.TypeFor[time.Time]():
		return "time"
	case t.Kind() == reflect.Struct:
		title := typeTitle(t)
		return fmt.Sprintf("[%s](#%s)", title, strings.ReplaceAll(title, " ", "-"))
	case t.Kind() == reflect.String:
		return "text"
	case t.Kind() == reflect.Bool:
		return "true or false"
	}
	return "number"
}

// comment returns what stands beside a field. A list of rows needs no comment.
func (c fieldComments) comment(field jsonField) string {
	if field.owner == nil {
		return ""
	}
	path := strings.TrimPrefix(field.owner.PkgPath(), "github.com/guppy-prep/guppy/")
	if c.packages[path] == nil {
		c.packages[path] = c.read(path)
	}
	comment := c.packages[path][field.owner.Name()+"."+field.field.Name]
	if comment == "" {
		c.t.Errorf("%s.%s has no comment beside it", field.owner, field.field.Name)
	}
	return strings.ReplaceAll(comment, "|", `\|`)
}

func (c fieldComments) read(path string) map[string]string {
	comments := map[string]string{}
	files, err := filepath.Glob(filepath.Join("../..", path, "*.go"))
	noError(c.t, err)
	if len(files) == 0 {
		c.t.Fatalf("there is no code in %s", path)
	}

	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
		noError(c.t, err)
		ast.Inspect(file, func(node ast.Node) bool {
			spec, isType := node.(*ast.TypeSpec)
			if !isType {
				return true
			}
			if declared, isStruct := spec.Type.(*ast.StructType); isStruct {
				for _, field := range declared.Fields.List {
					for _, name := range field.Names {
						comments[spec.Name.Name+"."+name.Name] = strings.TrimSpace(field.Comment.Text())
					}
				}
			}
			return true
		})
	}
	return comments
}
