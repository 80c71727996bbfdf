package main

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/migrate"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// completionTime bounds how long a shell waits for names.
const completionTime = 1500 * time.Millisecond

// nameLister lists names that are in a repository. A description may stand behind a name and a tab.
type nameLister func(context.Context, *repository) ([]string, error)

// completeArgument completes the argument behind others, by the name that the usage has for it.
func (a *app) completeArgument(command *cobra.Command, args []string,
	text string) ([]string, cobra.ShellCompDirective) {
	expected, found := parameterAt(command, len(args))
	if !found {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}

	var listers []nameLister
	directive := cobra.ShellCompDirectiveNoFileComp
	for name := range strings.SplitSeq(expected.name, "|") {
		switch name {
		case "SPACE":
			listers = append(listers, listSpaceNames)
		case "UPLOAD":
			listers = append(listers, listUploadNames)
		case "CID[/PATH]":
			if text != "" { // otherwise the names of uploads are enough
				listers = append(listers, listRootCIDs, listPaths(text))
			}
		case "SOURCE":
			listers = append(listers, listSourceNames(args[0]))
		case "STORE":
			listers = append(listers, listStoreNames)
		case "FROM", "TO":
			listers = append(listers, listStoreNames)
			directive = cobra.ShellCompDirectiveDefault
		case "PATH", "FILE", "OUT", "DIR", "URL":
			directive = cobra.ShellCompDirectiveDefault
		}
	}
	names := a.completeNames(command, text, listers...)
	isDirectory := func(name string) bool {
		name, _, _ = strings.Cut(name, "\t")
		return strings.HasSuffix(name, "/")
	}
	if slices.ContainsFunc(names, isDirectory) {
		directive |= cobra.ShellCompDirectiveNoSpace // what is in the directory may follow
	}
	return names, directive
}

// completeCommands completes the name of a command, which may have others above it.
func completeCommands(help *cobra.Command, args []string, text string) ([]string, cobra.ShellCompDirective) {
	parent, rest, err := help.Root().Find(args)
	if err != nil || len(rest) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}

	var names []string
	for _, command := range parent.Commands() {
		if command.IsAvailableCommand() && strings.HasPrefix(command.Name(), text) {
			names = append(names, cobra.CompletionWithDesc(command.Name(), command.Short))
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// fileValues are the names that usages have for the values of flags that may be files.
var fileValues = []string{"FILE", "DIR", "URL", "GLOB", "STORE", "NAME=PATH", "SOURCE=PATH"}

// flagCompletion returns what completes the value of a flag, or nil for files.
func (a *app) flagCompletion(flag *pflag.Flag) cobra.CompletionFunc {
	choices := config.Choices(settings[flag.Name])
	if len(choices) == 0 {
		choices = namedChoices(flag)
	}
	if len(choices) > 0 {
		return cobra.FixedCompletions(choices, cobra.ShellCompDirectiveNoFileComp)
	}

	switch flag.Name {
	case "config":
		return cobra.FixedCompletions([]string{"yaml", "yml", "toml"}, cobra.ShellCompDirectiveFilterFileExt)
	case "data-dir":
		return cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs)
	case "space":
		return a.flagNames(cobra.ShellCompDirectiveNoFileComp, listSpaceNames)
	case "store":
		return a.flagNames(cobra.ShellCompDirectiveDefault, listStoreNames)
	case "replica", "no-replica":
		return a.flagNames(cobra.ShellCompDirectiveNoFileComp, listStoreNames)
	case "in":
		return a.flagNames(cobra.ShellCompDirectiveNoFileComp, listSpaceNames, listUploadNames)
	case "source":
		return func(command *cobra.Command, args []string, text string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return a.completeNames(command, text, listSourceNames(args[0])), cobra.ShellCompDirectiveNoFileComp
		}
	case "sort":
		return completeFields
	}

	switch value, _ := pflag.UnquoteUsage(flag); {
	case value == "TAG":
		return a.flagNames(cobra.ShellCompDirectiveNoFileComp, listTags)
	case slices.Contains(fileValues, value):
		return nil
	}
	return cobra.NoFileCompletions
}

// completeFields completes the last of the fields that --sort names with commas between them.
func completeFields(command *cobra.Command, _ []string, text string) ([]string, cobra.ShellCompDirective) {
	begun := text[:strings.LastIndexByte(text, ',')+1]
	if strings.HasPrefix(text[len(begun):], "-") {
		begun += "-"
	}

	var fields []string
	for _, field := range sortableFields(command) {
		if full := begun + field; strings.HasPrefix(full, text) {
			fields = append(fields, full)
		}
	}
	return fields, cobra.ShellCompDirectiveNoFileComp
}

// sortedLists names the lists that --sort sorts, for commands that print other lists before them.
var sortedLists = map[string]string{"prepare": "entries", "stats": "spaces", "upload prune": "uploads"}

// sortableFields returns the fields of one value that the rows of a command's list have.
func sortableFields(command *cobra.Command) (names []string) {
	path := strings.TrimPrefix(command.CommandPath(), "guppy ")
	for _, output := range jsonOutputs()[path] {
		for _, list := range output.fields {
			if want := sortedLists[path]; want != "" && list.name != want {
				continue
			}
			if row := elementType(list.field.Type); list.field.Type.Kind() == reflect.Slice && row.Kind() == reflect.Struct {
				for _, field := range jsonFields(row) {
					held := pointedTo(field.field.Type).Kind()
					if held != reflect.Struct && held != reflect.Slice {
						names = append(names, field.name)
					}
				}
				break
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func listTags(ctx context.Context, repo *repository) (names []string, err error) {
	tags, err := repo.Tags(ctx, sqlrepo.UploadFilter{})
	for _, of := range tags {
		names = append(names, of...)
	}
	slices.Sort(names)
	return slices.Compact(names), err
}

// namedChoices returns the values of a flag whose description names them all, such as `auto|always|never`.
func namedChoices(flag *pflag.Flag) []string {
	value, _ := pflag.UnquoteUsage(flag)
	if choices := strings.Split(value, "|"); len(choices) > 1 && value == strings.ToLower(value) {
		return choices
	}
	return nil
}

// flagNames returns what completes the value of a flag with names.
func (a *app) flagNames(directive cobra.ShellCompDirective, listers ...nameLister) cobra.CompletionFunc {
	return func(command *cobra.Command, _ []string, text string) ([]string, cobra.ShellCompDirective) {
		return a.completeNames(command, text, listers...), directive
	}
}

// completeNames returns the names that begin with a text. There are none if the repository can't be read at once: a
// shell that completes a command line has no place for an error.
func (a *app) completeNames(command *cobra.Command, text string, listers ...nameLister) (names []string) {
	if len(listers) == 0 {
		return nil
	}

	ctx, cancel := context.WithTimeout(command.Context(), completionTime)
	defer cancel()

	// A call that does not answer, such as one to a hung file system, must not keep the shell.
	listed := make(chan []string, 1)
	go func() {
		all, _ := a.listNames(ctx, command, listers)
		listed <- all
	}()

	select {
	case <-ctx.Done():
		return nil
	case all := <-listed:
		return slices.DeleteFunc(all, func(name string) bool { return !strings.HasPrefix(name, text) })
	}
}

// listNames reads names from the configured repository. It neither makes nor migrates one.
func (a *app) listNames(ctx context.Context, command *cobra.Command, listers []nameLister) (names []string, err error) {
	cfg, err := a.configuration(command)
	if err != nil {
		return nil, err
	}

	repo, err := a.peek(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, repo.close()) }()

	for _, list := range listers {
		more, err := list(ctx, repo)
		if err != nil {
			return nil, err
		}
		names = append(names, more...)
	}
	return names, nil
}

// peek opens the repository for a short look. It returns an error unless the repository exists and has the schema that
// this program needs.
func (a *app) peek(ctx context.Context, cfg *config.Config) (*repository, error) {
	settings := a.databaseSettings(cfg)
	settings.Peek, settings.Existing = true, true

	status, err := migrate.New(settings, migrate.WithExisting()).Status(ctx)
	if err != nil {
		return nil, err
	}
	if !status.Fits() {
		return nil, errDatabase
	}

	db, err := dialect.Open(ctx, settings)
	if err != nil {
		return nil, err
	}
	return &repository{Repository: sqlrepo.New(db), db: db}, nil
}

func listSpaceNames(ctx context.Context, repo *repository) (names []string, err error) {
	spaces, err := repo.Spaces(ctx)
	for _, space := range spaces {
		names = append(names, space.Name)
	}
	return names, err
}

func listSourceNames(space string) nameLister {
	return func(ctx context.Context, repo *repository) (names []string, err error) {
		found, err := repo.FindSpace(ctx, space)
		if err != nil {
			return nil, err
		}
		sources, err := repo.Sources(ctx, found.ID)
		for _, source := range sources {
			names = append(names, cobra.CompletionWithDesc(source.Name, printable(string(source.Path))))
		}
		return names, err
	}
}

func listStoreNames(ctx context.Context, repo *repository) (names []string, err error) {
	stores, err := repo.Stores(ctx)
	for _, store := range stores {
		names = append(names, cobra.CompletionWithDesc(store.Name, printable(store.URL)))
	}
	return names, err
}

// uploadAbout describes an upload beside its name.
func uploadAbout(space sqlrepo.Space, upload sqlrepo.Upload) string {
	return fmt.Sprintf("%s, %s, %s", space.Name, formatTime(upload.StartedAt), upload.State)
}

// listUploadNames lists uploads as SPACE/latest, NUMBER and SPACE/NUMBER, the latest first.
func listUploadNames(ctx context.Context, repo *repository) (names []string, err error) {
	spaces, err := repo.Spaces(ctx)
	if err != nil {
		return nil, err
	}

	for _, space := range spaces {
		uploads, err := repo.Uploads(ctx, sqlrepo.UploadFilter{Space: &space.ID})
		if err != nil {
			return nil, err
		}

		complete := func(upload sqlrepo.Upload) bool { return upload.State == sqlrepo.Complete }
		if slices.ContainsFunc(uploads, complete) {
			names = append(names, space.Name+"/"+latestUpload)
		}
		for _, upload := range slices.Backward(uploads) {
			number := strconv.FormatInt(upload.ID, 10)
			about := uploadAbout(space, upload)
			names = append(names, cobra.CompletionWithDesc(number, about),
				cobra.CompletionWithDesc(space.Name+"/"+number, about))
		}
	}
	return names, nil
}
