package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestJSONIsListed checks that each command has an entry that says what it prints with --json.
func TestJSONIsListed(t *testing.T) {
	var paths []string
	for _, command := range listCommands((&app{}).rootCommand()) {
		paths = append(paths, strings.TrimPrefix(command.CommandPath(), "guppy "))
	}
	known := slices.Concat(slices.Collect(maps.Keys(jsonOutputs())), slices.Collect(maps.Keys(withoutJSON)))
	slices.Sort(paths)
	slices.Sort(known)
	requireLines(t, known, paths)
}

// TestJSONKeepsToTheVocabulary checks the rules that docs/reference/json.md states for names: a name fits its type, has
// the same type everywhere, and means one thing.
func TestJSONKeepsToTheVocabulary(t *testing.T) {
	seen := map[string]jsonField{}
	for _, typ := range jsonTypes() {
		for _, field := range jsonFields(typ) {
			switch instead := otherwiseNamed[field.name]; {
			case instead != "":
				t.Errorf("%s of %s: say %s", field.name, field.owner, instead)
			case !namedWell(field):
				t.Errorf("%s of %s is no name for %s", field.name, field.owner, field.field.Type)
			}

			before, known := seen[field.name]
			if !known {
				seen[field.name] = field
			} else if a, b := jsonShape(before.field.Type), jsonShape(field.field.Type); a != b {
				t.Errorf("%s is %s in %s and %s in %s", field.name, a, before.owner, b, field.owner)
			}
		}
	}
}

// otherwiseNamed are names that would mean several things, or that another name has the meaning of, and what to say
// instead.
var otherwiseNamed = map[string]string{
	"name":     "what has the name: space, upload_path, migration, table_index",
	"error":    "reason",
	"detail":   "reason",
	"message":  "reason",
	"symlinks": "symlink_policy: a plural is a list",
}

// jsonShape is the type of a field as far as its name fixes it: the lists of one name may have different objects, as
// may the objects of one name.
func jsonShape(t reflect.Type) string {
	switch {
	case t.Kind() == reflect.Pointer:
		return jsonShape(t.Elem())
	case t.Kind() == reflect.Slice:
		return "list of " + jsonShape(t.Elem())
	case t.Kind() == reflect.Struct && t != reflect.TypeFor[time.Time]():
		return "object"
	}
	return jsonTypeName(t)
}

// namedWell reports whether the name of a field fits its type.
func namedWell(field jsonField) bool {
	held := pointedTo(field.field.Type)
	switch {
	case field.name == "schema":
		return false
	case held == reflect.TypeFor[instant]() || held == reflect.TypeFor[time.Time]():
		return strings.HasSuffix(field.name, "_at") || field.name == "at" || field.name == "time"
	case held.Kind() == reflect.Slice:
		return strings.HasSuffix(field.name, "s") || slices.Contains(listsInSingular, field.name)
	case held.Kind() == reflect.Bool || held.Kind() == reflect.String || held.Kind() == reflect.Struct:
		return !otherNames.MatchString(field.name)
	case held.Kind() == reflect.Map:
		return false // it has no fields that could be described
	}
	return numberNames.MatchString(field.name)
}

// listsInSingular are the lists that the language has no plural for.
var listsInSingular = []string{"set_aside", "mounts_below"}

// numberNames matches the names of fields that hold a number, and otherNames those that look as if they did.
var (
	numberNames = regexp.MustCompile(`^(.*_count|(.*_)?bytes|(.*_)?seconds|seconds_left|(.*_)?version|(.*_)?id|upload|` +
		`ordinal|offset|shard_size|index_max_slices|pid|bytes_per_.*)$`)
	otherNames = regexp.MustCompile(`(_count|_bytes|_seconds|_at)$`)
)

// requireLines compares lists that may be long.
func requireLines(t *testing.T, got, want []string) {
	t.Helper()
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("%q is too much", line)
		}
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("%q is missing", line)
		}
	}
}

// jsonTypes returns all struct types of the JSON objects, in the order in which they are met.
func jsonTypes() (types []reflect.Type) {
	outputs := jsonOutputs()
	for _, command := range slices.Sorted(maps.Keys(outputs)) {
		for _, output := range outputs[command] {
			for _, field := range output.fields {
				types = addTypes(types, field)
			}
		}
	}
	return types
}

func addTypes(types []reflect.Type, field jsonField) []reflect.Type {
	if field.owner != nil && !slices.Contains(types, field.owner) {
		types = append(types, field.owner)
	}
	held := elementType(field.field.Type)
	if held.Kind() != reflect.Struct || held == reflect.TypeFor[time.Time]() || slices.Contains(types, held) {
		return types
	}
	types = append(types, held)
	for _, inner := range jsonFields(held) {
		types = addTypes(types, inner)
	}
	return types
}

// TestJSONHasNoNull prints an empty object of each kind: its lists are [], because a program that reads the output does
// not expect anything else.
func TestJSONHasNoNull(t *testing.T) {
	for _, typ := range jsonTypes() {
		for _, value := range []reflect.Value{reflect.New(typ), reflect.New(typ).Elem()} {
			encoded, err := marshalJSON(value.Interface())
			noError(t, err)
			if bytes.Contains(encoded, []byte("null")) {
				t.Errorf("%s: %s", typ, encoded)
			}
		}
	}

	// The lists of embedded objects and of elements count as well.
	view := removedView{Removals: []removalView{{}}, prunedView: &prunedView{Uploads: []prunedUpload{{}}}}
	encoded, err := marshalJSON(view)
	noError(t, err)
	for _, want := range []string{`"kept_files":[]`, `"upload_numbers":[]`, `"tags":[]`, `"reasons":[]`} {
		if !bytes.Contains(encoded, []byte(want)) {
			t.Errorf("%s is not in %s", want, encoded)
		}
	}
}

// jsonSeen names the variable that says in which file the commands are recorded whose output was compared.
const jsonSeen = "GUPPY_TEST_JSON_SEEN"

// TestJSONOfEveryCommand runs each command with --json. The program in scripts compares what it prints with the types.
func TestJSONOfEveryCommand(t *testing.T) {
	seen := filepath.Join(t.TempDir(), "seen")
	passed := t.Run("scripts", func(t *testing.T) {
		runScripts(t, testscript.Params{Dir: "testdata/json", Setup: func(env *testscript.Env) error {
			env.Setenv(jsonSeen, seen)
			return nil
		}})
	})
	if !passed {
		return
	}

	recorded, err := os.ReadFile(seen)
	noError(t, err)
	commands := slices.Compact(slices.Sorted(strings.SplitSeq(strings.TrimSpace(string(recorded)), "\n")))
	var want []string
	for command, outputs := range jsonOutputs() {
		for _, output := range outputs {
			want = append(want, strings.TrimSpace(command+": "+output.when))
		}
	}
	slices.Sort(want)
	requireLines(t, commands, want)
}

// comparingMain is guppy, and compares what it prints with --json with the type of its output. A device, such as
// /dev/full, is for the program itself.
func comparingMain() {
	outputs := expectedOutputs(os.Args[1:])
	info, err := os.Stdout.Stat()
	if outputs == nil || err == nil && info.Mode()&os.ModeDevice != 0 {
		main()
	}

	stdout, into, err := pipeStdout()
	if err != nil {
		fmt.Fprintln(os.Stderr, "JSON:", err)
		os.Exit(jsonFault)
	}
	code := supervise()
	err = errors.Join(into.Close(), <-stdout.copied)
	if err == nil {
		err = compareOutput(os.Args[1:], outputs, stdout.kept.Bytes(), code)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "JSON:", err)
		code = jsonFault
	}
	os.Exit(code)
}

// jsonFault is the exit code of a program whose JSON is not as it should be.
const jsonFault = 99

type keptOutput struct {
	kept   bytes.Buffer
	copied chan error
}

// pipeStdout makes the program write into a pipe that is copied to standard output.
func pipeStdout() (*keptOutput, *os.File, error) {
	from, into, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	stdout, out := os.Stdout, &keptOutput{copied: make(chan error, 1)}
	os.Stdout = into
	go func() {
		_, err := io.Copy(io.MultiWriter(stdout, &out.kept), from)
		out.copied <- err
	}()
	return out, into, nil
}

// expectedOutputs returns the outputs of a command line, or nil if it prints no JSON object.
func expectedOutputs(args []string) []jsonOutput {
	if !slices.Contains(args, "--json") || slices.Contains(args, "--help") || slices.Contains(args, "-") {
		return nil
	}
	return jsonOutputs()[commandOf(args)]
}

func commandOf(args []string) string {
	command, _, err := (&app{}).rootCommand().Find(args)
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(command.CommandPath(), "guppy ")
}

func compareOutput(args []string, outputs []jsonOutput, printed []byte, code int) error {
	decoder := json.NewDecoder(bytes.NewReader(printed))
	decoder.UseNumber()
	for objects := 0; ; objects++ {
		var object map[string]any
		err := decoder.Decode(&object)
		if errors.Is(err, io.EOF) {
			intoFile := slices.Contains(args, "-o")
			if objects == 0 && code == 0 && !intoFile && !slices.Contains(args, "--watch") {
				return errors.New("nothing was printed")
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("no JSON object: %w", err)
		}
		if objects > 0 && !slices.Contains(args, "--watch") {
			return errors.New("more than one object was printed")
		}
		if err := compareObject(commandOf(args), outputs, object); err != nil {
			return err
		}
	}
}

// compareObject requires that an object is one of the outputs of a command.
func compareObject(command string, outputs []jsonOutput, object map[string]any) error {
	if fmt.Sprint(object["schema"]) != fmt.Sprint(jsonSchema) {
		return fmt.Errorf("schema is %v", object["schema"])
	}
	delete(object, "schema")

	var faults error
	for _, output := range outputs {
		fault := compareFields(output.fields, object, "")
		if fault == nil {
			return recordSeen(command + ": " + output.when)
		}
		faults = errors.Join(faults, fault)
	}
	return faults
}

func recordSeen(text string) error {
	path := os.Getenv(jsonSeen)
	if path == "" {
		return nil
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = file.WriteString(strings.TrimSpace(text) + "\n")
	return errors.Join(err, file.Close())
}

// compareFields requires that an object has exactly the fields of its type. path is where the object is.
func compareFields(fields []jsonField, object map[string]any, path string) (faults error) {
	unknown := maps.Clone(object)
	for _, field := range fields {
		value, found := object[field.name]
		delete(unknown, field.name)
		if found {
			faults = errors.Join(faults, compareValue(field.field.Type, value, path+"."+field.name))
		} else if !field.optional {
			faults = errors.Join(faults, fmt.Errorf("%s.%s is missing", path, field.name))
		}
	}
	for name := range unknown {
		faults = errors.Join(faults, fmt.Errorf("%s.%s is not in the type", path, name))
	}
	return faults
}

func compareValue(t reflect.Type, value any, path string) (faults error) {
	t = pointedTo(t)
	fault := fmt.Errorf("%s is %v, and should be %s", path, value, t)

	switch {
	case t == reflect.TypeFor[instant]() || t == reflect.TypeFor[time.Time]():
		text, _ := value.(string)
		if _, err := time.Parse(time.RFC3339, text); err != nil || !strings.HasSuffix(text, "Z") {
			return fault
		}
	case t.Kind() == reflect.Struct:
		object, ok := value.(map[string]any)
		if !ok {
			return fault
		}
		return compareFields(jsonFields(t), object, path)
	case t.Kind() == reflect.Slice:
		list, ok := value.([]any)
		if !ok {
			return fault
		}
		for i, element := range list {
			faults = errors.Join(faults, compareValue(t.Elem(), element, fmt.Sprintf("%s[%d]", path, i)))
		}
		return faults
	case t.Kind() == reflect.String:
		text, ok := value.(string)
		if !ok {
			return fault
		}
		// What is not known yet is absent.
		if text == "" && strings.HasSuffix(path, "cid") {
			return fmt.Errorf("%s is empty", path)
		}
	case t.Kind() == reflect.Bool:
		if _, ok := value.(bool); !ok {
			return fault
		}
	default:
		if _, ok := value.(json.Number); !ok {
			return fault
		}
	}
	return nil
}
