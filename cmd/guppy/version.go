package main

import (
	"fmt"
	"io"
	"regexp"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is what the next release is called.
const version = "0.1.0"

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show the version", Args: usageArgs(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			v := versionView{version, commit(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
			return a.print(v, v.text)
		},
	}
}

// fullVersion is the version and, as far as it is known, the commit.
func fullVersion() string {
	if built := commit(); built != "" {
		return version + " (commit " + built + ")"
	}
	return version
}

func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	return commitOf(info)
}

// pseudoVersion is the end of a version that Go makes up for a commit without a tag.
var pseudoVersion = regexp.MustCompile(`-(?:0\.)?\d{14}-([0-9a-f]{12})$`)

// shortCommit is how much of a commit's name is shown.
const shortCommit = 12

// commitOf returns what a program was built from, or "". The build of a checkout records the commit, and whether files
// were changed since. The build of a module that go install has fetched records its version, which is a tag or contains
// the commit.
func commitOf(info *debug.BuildInfo) string {
	var revision, changed string
	for _, setting := range info.Settings {
		switch {
		case setting.Key == "vcs.revision":
			revision = setting.Value
		case setting.Key == "vcs.modified" && setting.Value == "true":
			changed = "-dirty"
		}
	}
	if revision != "" {
		return revision[:min(len(revision), shortCommit)] + changed
	}

	module := info.Main.Version
	if found := pseudoVersion.FindStringSubmatch(module); found != nil {
		return found[1]
	}
	if module == "(devel)" {
		return ""
	}
	return module
}

// versionView is the output of version.
type versionView struct {
	Version  string `json:"version"`          // version of the program
	Commit   string `json:"commit,omitempty"` // what it was built from, if that is known
	Go       string `json:"go"`               // version of Go that built it
	Platform string `json:"platform"`         // operating system and architecture
}

func (v versionView) text(w io.Writer) {
	fmt.Fprintf(w, "guppy %s, %s, %s\n", fullVersion(), v.Go, v.Platform)
}
