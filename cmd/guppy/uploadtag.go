package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/sqlrepo"
)

const uploadTagHelp = `Tag adds tags to an upload, removes tags from it, or only prints those that it
has. A tag is any text of 1 to 255 printable characters without a comma, such as
release or 2024-05. Guppy prepare --tag gives a new upload a tag, and guppy
upload prune --keep-tag keeps the uploads that have one.

Adding a tag that the upload has changes nothing, nor does removing one that it
lacks.

` + uploadHelp

func (a *app) uploadTagCommand() *cobra.Command {
	var add, remove []string
	command := &cobra.Command{
		Use: "tag UPLOAD", Short: "Add tags to an upload, or remove them", Long: uploadTagHelp,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: a.repositoryCommand(func(ctx context.Context, _ *config.Config, repo *repository, args []string) error {
			return a.tagUpload(ctx, repo, args[0], add, remove)
		}),
	}

	flags := command.Flags()
	flags.StringArrayVar(&add, "add", nil, "add this `TAG`; may be repeated")
	flags.StringArrayVar(&remove, "remove", nil, "remove this `TAG`; may be repeated")
	return command
}

// tagView is the output of upload tag.
type tagView struct {
	Upload int64    `json:"upload"` // number of the upload
	Tags   []string `json:"tags"`   // the tags that it has now, sorted
}

func (a *app) tagUpload(ctx context.Context, repo *repository, name string, add, remove []string) error {
	// What is removed may have been named by other rules.
	if err := checkTags(add); err != nil {
		return err
	}

	key, err := findUpload(ctx, repo, name)
	if err != nil {
		return err
	}
	if len(add)+len(remove) > 0 {
		if err := repo.Tag(ctx, key, add, remove); err != nil {
			return err
		}
	}

	tags, err := tagsOf(ctx, repo.Repository, key)
	if err != nil {
		return err
	}
	return a.print(tagView{Upload: key, Tags: tags}, func(w io.Writer) {
		text := "no tags"
		if len(tags) > 0 {
			text = "tags " + strings.Join(printables(tags), ", ")
		}
		fmt.Fprintf(w, "upload %d: %s\n", key, text)
	})
}

// tagsOf returns the tags of an upload as JSON lists them.
func tagsOf(ctx context.Context, repo *sqlrepo.Repository, key int64) ([]string, error) {
	tags, err := repo.TagsOf(ctx, key)
	return append([]string{}, tags...), err
}

// checkTags refuses tags that are not printable, or could be taken for several.
func checkTags(tags []string) error {
	for _, tag := range tags {
		if tag == "" || len(tag) > 255 || !allPrintable(tag) || strings.Contains(tag, ",") ||
			strings.TrimSpace(tag) != tag {
			return fmt.Errorf("%w: %q is not a tag: use 1 to 255 printable characters, without a comma and without "+
				"spaces at the ends", errUsage, tag)
		}
	}
	return nil
}
