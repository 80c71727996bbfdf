package main

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"text/template"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/display"
)

// list is a kind of list: the name that it has in JSON, how its rows are shown as text, and what is said if it is
// empty. V is the JSON object of a row.
type list[V any] struct {
	name    string
	columns []column[V]
	empty   string
}

// column is a column of a list's text.
type column[V any] struct {
	title string
	text  func(V) string
	look  columnLook
}

// columnLook is how a column looks: words, or a combination of the other looks.
type columnLook int

const (
	words columnLook = 0
	// number is aligned at its right side.
	number columnLook = 1 << iota
	// whole is never shortened: it is short, as a state and a time are.
	whole
	// identifier is shortened on a terminal.
	identifier
	// optional is left out if no row has it.
	optional
	// why is shortened on a terminal so that its end stays, which says most.
	why

	reason = why | optional
)

// listOptions are the flags of lists.
type listOptions struct {
	sort   []string
	format string
	full   bool
}

// addListFlags adds the flags that all lists have.
func (a *app) addListFlags(command *cobra.Command) {
	a.addRowFlags(command)
	command.Flags().BoolVar(&a.listing.full, "full", false, "shorten nothing on a terminal, even if lines get too long")
}

// addRowFlags adds the flags of commands that print rows, perhaps not as a table.
func (a *app) addRowFlags(command *cobra.Command) {
	flags := command.Flags()
	flags.StringSliceVar(&a.listing.sort, "sort", nil, "sort by `FIELD`s, named as with --json; -FIELD sorts downwards")
	flags.StringVar(&a.listing.format, "format", "",
		"print each row by `TEMPLATE`, such as '{{.bytes}}', with the names of --json (Go's text/template)")
}

var errBothForms = fmt.Errorf("%w: use either --json or --format", errUsage)

// longestReason is how many characters of a reason a list shows on a terminal.
const longestReason = 60

// display returns the column as a table shows it. Only if it is short, as on a terminal, long cells are shortened.
func (c column[V]) display(short bool) display.Column {
	shown := display.Column{Title: c.title, Right: c.look&number != 0, Optional: c.look&optional != 0,
		Whole: c.look&whole != 0, Identifier: c.look&identifier != 0}
	switch {
	case !short:
	case shown.Identifier:
		shown.Widest = display.IdentifierWidth
	case c.look&why != 0:
		shown.Widest = longestReason
	}
	return shown
}

// target returns what standard output is, even while lines that are written there appear above bars.
func (a *app) target() io.Writer {
	if lines, above := a.stdout.(*lineWriter); above {
		return lines.terminal
	}
	return a.stdout
}

// onTerminal reports whether standard output is a terminal.
func (a *app) onTerminal() bool {
	file, isFile := a.target().(*os.File)
	return isFile && term.IsTerminal(int(file.Fd()))
}

// width returns the width that a table has to fit, or 0 for a table of any width: with --full, and where standard
// output is no terminal.
func (a *app) width() int {
	if a.listing.full || !a.onTerminal() {
		return 0
	}
	width, _, err := term.GetSize(int(a.target().(*os.File).Fd()))
	if err != nil {
		return 0
	}
	return width
}

// rows prints rows that are all known.
func (l list[V]) rows(a *app, rows []V) error {
	return l.each(a, eachOf(rows), func(error) any { return finished{true} }, nil)
}

func eachOf[V any](rows []V) func(func(V) error) error {
	return func(yield func(V) error) error {
		for _, row := range rows {
			if err := yield(row); err != nil {
				return err
			}
		}
		return nil
	}
}

// stream prints rows as they come.
func (l list[V]) stream(a *app, each func(yield func(V) error) error) error {
	return l.each(a, each, func(err error) any { return finished{err == nil} }, nil)
}

// each prints rows as they come. In JSON, end returns the other fields of the object, which end may base on the error
// of the rows. In text, footer returns a line about all rows for standard error, if it is not nil.
func (l list[V]) each(a *app, each func(yield func(V) error) error, end func(error) any, footer func() string) error {
	sorted, err := l.sorted(a.listing.sort, each)
	if err != nil {
		return err
	}

	switch {
	case a.json && a.listing.format != "":
		return errBothForms
	case a.json:
		return l.json(a, sorted, end)
	case a.listing.format != "":
		return l.formatted(a, sorted)
	case a.voice.quiet:
		return nil
	}
	return l.text(a, sorted, footer)
}

func (l list[V]) json(a *app, each func(yield func(V) error) error, end func(error) any) error {
	out := a.streamJSON()
	err := out.begin(l.name)
	if err == nil {
		err = each(func(row V) error { return out.element(row) })
	}
	return errors.Join(err, out.end(end(err)))
}

// text prints a table. A list without rows says so on standard error.
func (l list[V]) text(a *app, each func(yield func(V) error) error, footer func() string) error {
	short := a.onTerminal() && !a.listing.full
	columns := make([]display.Column, len(l.columns))
	for i, column := range l.columns {
		columns[i] = column.display(short)
	}

	out := bufio.NewWriter(a.stdout)
	styled := display.Styled(a.target(), a.environ, a.voice.color)
	table, filled := display.NewTable(out, columns, styled), false
	table.Fit(a.width())
	err := each(func(row V) error {
		filled = true
		cells := make([]string, len(l.columns))
		for i, column := range l.columns {
			cells[i] = column.text(row)
		}
		return table.Row(cells)
	})

	err = errors.Join(err, table.Flush())
	err = errors.Join(err, out.Flush())
	if err == nil && footer != nil {
		err = a.sayAside(footer())
	}
	if err == nil && !filled && l.empty != "" {
		err = a.sayAside(l.empty)
	}
	return err
}

// formatted prints each row by the template of --format.
func (l list[V]) formatted(a *app, each func(yield func(V) error) error) error {
	out := bufio.NewWriter(a.stdout)
	show, err := l.formatter(a.listing.format, out, a.onTerminal())
	if err != nil {
		return err
	}
	return errors.Join(each(show), out.Flush())
}

// formatter returns a function that prints a row by a template. It returns a usage error for a wrong name, even if
// there will be no rows. What could upset a terminal is escaped on one.
func (l list[V]) formatter(format string, out io.Writer, terminal bool) (func(V) error, error) {
	parsed, err := template.New("--format").Option("missingkey=error").Parse(format)
	if err == nil {
		err = parsed.Execute(io.Discard, rowValues(reflect.Zero(reflect.TypeFor[V]())))
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w; a row has %s", errUsage, err, l.fieldNames())
	}

	return func(row V) error {
		var line bytes.Buffer
		if err := parsed.Execute(&line, rowValues(reflect.ValueOf(row))); err != nil {
			return err
		}
		line.WriteByte('\n')

		text := line.String()
		if terminal {
			text = printableLines(text)
		}
		_, err := io.WriteString(out, text)
		return err
	}, nil
}

// within sorts the rows of a result that is more than its list. With --format it prints them in place of the result.
func (l list[V]) within(a *app, rows *[]V) (printed bool, err error) {
	sorted, err := l.sorted(a.listing.sort, eachOf(*rows))
	if err != nil {
		return false, err
	}
	held := []V{}
	if err := sorted(func(row V) error { held = append(held, row); return nil }); err != nil {
		return false, err
	}
	*rows = held

	switch {
	case a.listing.format == "":
		return false, nil
	case a.json:
		return false, errBothForms
	}
	return true, l.formatted(a, eachOf(held))
}

// refuseListFlags returns an error if flags of lists were given to a command that prints none.
func (a *app) refuseListFlags(list string) error {
	if l := a.listing; len(l.sort) > 0 || l.format != "" || l.full {
		return fmt.Errorf("%w: --sort, --format and --full are for the list of %s", errUsage, list)
	}
	return nil
}

// rowPrinter prints rows as they are found or, if they are to be sorted, at the end.
type rowPrinter[V any] struct {
	list list[V]
	sort []string
	show func(V) error
	held []V
}

// printer returns a printer of rows, which are printed by show unless --format says how. With --quiet, only JSON and
// what --format asks for are printed.
func (l list[V]) printer(a *app, show func(V) error) (*rowPrinter[V], error) {
	p := &rowPrinter[V]{list: l, sort: a.listing.sort, show: show}
	switch {
	case a.json && a.listing.format != "":
		return nil, errBothForms
	case a.listing.format != "":
		var err error
		if p.show, err = l.formatter(a.listing.format, a.stdout, a.onTerminal()); err != nil {
			return nil, err
		}
	case a.voice.quiet && !a.json:
		p.show = func(V) error { return nil }
	}
	_, err := l.sorted(p.sort, nil)
	return p, err
}

func (p *rowPrinter[V]) row(row V) error {
	if len(p.sort) == 0 {
		return p.show(row)
	}
	p.held = append(p.held, row)
	return nil
}

// end prints the rows that were to be sorted.
func (p *rowPrinter[V]) end() error {
	sorted, err := p.list.sorted(p.sort, eachOf(p.held))
	if err != nil {
		return err
	}
	p.held = nil
	return sorted(p.show)
}

func (l list[V]) fieldNames() string {
	var names []string
	for _, field := range jsonFields(reflect.TypeFor[V]()) {
		names = append(names, field.name)
	}
	return strings.Join(names, ", ")
}

// fieldOfColumn says which field a column shows whose title was given in place of a field, or returns "".
func (l list[V]) fieldOfColumn(name string, fields map[string]any) string {
	at := slices.IndexFunc(l.columns, func(c column[V]) bool {
		return strings.EqualFold(strings.TrimSuffix(c.title, " (UTC)"), name)
	})
	if at < 0 {
		return ""
	}

	name = strings.ToLower(name)
	candidates := []string{name, name + "_cid", name + "_at", strings.TrimSuffix(name, "s") + "_count"}
	switch {
	case name == "size":
		candidates = []string{"bytes"}
	case strings.HasPrefix(l.name, name): // the thing itself
		candidates = append(candidates, "cid")
	}
	for _, candidate := range candidates {
		if _, found := fields[candidate]; found {
			return fmt.Sprintf(": %s is %s", l.columns[at].title, candidate)
		}
	}
	return ""
}

// sorted returns rows sorted by fields, or as they come if there are no fields.
func (l list[V]) sorted(fields []string, each func(yield func(V) error) error) (func(func(V) error) error, error) {
	empty := rowValues(reflect.Zero(reflect.TypeFor[V]()))
	for _, field := range fields {
		name := strings.TrimPrefix(field, "-")
		switch value, found := empty[name]; value.(type) {
		case map[string]any, []any:
			return nil, fmt.Errorf("%w: --sort: rows can't be sorted by %s, which has many values", errUsage, name)
		default:
			if !found {
				names := slices.Sorted(maps.Keys(empty))
				return nil, fmt.Errorf("%w: --sort: there is no field %q%s; a row has %s", errUsage, name,
					cmp.Or(l.fieldOfColumn(name, empty), config.DidYouMean("", name, names)), l.fieldNames())
			}
		}
	}
	if len(fields) == 0 {
		return each, nil
	}

	return func(yield func(V) error) error {
		type keyed struct {
			row    V
			values map[string]any
		}
		var rows []keyed
		err := each(func(row V) error {
			rows = append(rows, keyed{row, rowValues(reflect.ValueOf(row))})
			return nil
		})
		if err != nil {
			return err
		}

		slices.SortStableFunc(rows, func(a, b keyed) int {
			for _, field := range fields {
				name, downwards := strings.CutPrefix(field, "-")
				order := compareValues(a.values[name], b.values[name])
				if downwards {
					order = -order
				}
				if order != 0 {
					return order
				}
			}
			return 0
		})
		for _, row := range rows {
			if err := yield(row.row); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// compareValues compares two values of one field. A value that is absent comes before any other.
func compareValues(a, b any) int {
	switch a := a.(type) {
	case int64:
		if b, ok := b.(int64); ok {
			return cmp.Compare(a, b)
		}
		return 1
	case float64:
		if b, ok := b.(float64); ok {
			return cmp.Compare(a, b)
		}
		return 1
	case bool:
		if b, ok := b.(bool); ok {
			return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b))
		}
		return 1
	}

	text, ok := b.(string)
	if !ok {
		return -1
	}
	return strings.Compare(fmt.Sprint(a), text)
}
