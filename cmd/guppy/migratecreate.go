package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/migrate"
)

func (a *app) migrateCreate() *cobra.Command {
	dir := "migrate"
	command := &cobra.Command{
		Use: "create NAME", Short: "For developers: create the files of the next migration, for every engine",
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			files, err := migrate.Create(dir, args[0])
			if err != nil {
				return err
			}

			return a.print(createdView{files}, func(w io.Writer) {
				for _, file := range files {
					fmt.Fprintln(w, file)
				}
			})
		},
	}

	command.Flags().Var(pathFlag{&dir}, "dir", "`DIR` of migrations in the source tree")
	return command
}

// createdView is the output of migrate create.
type createdView struct {
	Files []string `json:"files"` // files that were created
}
