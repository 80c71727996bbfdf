package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/host/durable"
	"github.com/guppy-prep/guppy/internal/host/presence"
	"github.com/guppy-prep/guppy/internal/host/shortage"
)

// output is where a command writes its result.
type output struct {
	// file is a path, or "" or "-" for standard output.
	file string
	// force is true to replace an existing file, or to write anything to a terminal.
	force bool
}

func (o *output) addFlags(flags *pflag.FlagSet, usage string) {
	flags.VarP(pathFlag{&o.file}, "output", "o", usage)
	flags.BoolVar(&o.force, "force", false, "replace FILE if it exists, or write to a terminal")
}

func (o output) isStdout() bool { return o.file == "" || o.file == "-" }

// isReplaced reports whether the output is a file that is whole or does not exist.
func (o output) isReplaced() bool {
	if o.isStdout() {
		return false
	}
	info, err := os.Stat(o.file)
	return err != nil || info.Mode().IsRegular()
}

// refuseOwn returns an error for an output in place of guppy's own files.
func (o output) refuseOwn(cfg *config.Config, repo *repository) error {
	if o.isStdout() {
		return nil
	}
	return refuseOwnOutput(cfg, repo, o.file)
}

// refuseTerminal returns an error if the output would go to a terminal.
func (a *app) refuseTerminal(out output, what string) error {
	if out.isStdout() && !out.force && a.onTerminal() {
		return fmt.Errorf("%w: %s is not written to a terminal: use -o FILE, a pipe, or --force", errUsage, what)
	}
	return nil
}

// writeTo writes to an output. It returns fs.ErrExist for a file that exists and may not be replaced, before it calls
// write and again if another process has made the file meanwhile.
func (a *app) writeTo(out output, write func(io.Writer) error) error {
	if out.isStdout() {
		return write(a.stdout)
	}
	return hintForce(replaceFile(out.file, out.force, write))
}

// hintForce says what to do about an existing file that is not replaced.
func hintForce(err error) error {
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: choose another name, or replace it with --force", err)
	}
	return err
}

// replaceFile writes a file that gets its name only when it is whole and synced. It follows a symlink and
// replaces the file that the symlink leads to. It writes into whatever is not a file, such as a device or a FIFO. It
// returns fs.ErrExist for a file that exists, unless force is true.
func replaceFile(path string, force bool, write func(io.Writer) error) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if link, err := os.Lstat(path); err == nil && link.Mode()&fs.ModeSymlink != 0 {
			return fmt.Errorf("%s is a symlink that leads nowhere", path)
		}
		return replace(path, nil, force, write)
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%s is a directory: name a file", path)
	case !info.Mode().IsRegular():
		return writeInto(path, write)
	case !force:
		return &fs.PathError{Op: "write to", Path: path, Err: fs.ErrExist}
	}

	// A rename would replace the symlink itself.
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return err
	}
	return replace(path, info, force, write)
}

func writeInto(path string, write func(io.Writer) error) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(write(file), file.Close())
}

// replace writes a file under a temporary name beside its place. It first removes the temporary files that killed
// processes left there. It keeps the mode of an existing file.
func replace(path string, previous fs.FileInfo, force bool, write func(io.Writer) error) error {
	if err := removeDeadParts(path); err != nil {
		return err
	}

	part := partPrefix(path) + presence.Tag() + "." + rand.Text() + partSuffix
	file, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}

	err = shortage.Noted(write(file))
	if err == nil && previous != nil {
		err = file.Chmod(previous.Mode().Perm())
	}

	// The content must be durable before the name, or a crash could leave a file that is cut short.
	if err == nil {
		err = file.Sync()
	}

	err = errors.Join(err, file.Close())
	if err == nil {
		err = publish(part, path, force)
	}

	if err != nil {
		return errors.Join(err, os.Remove(part))
	}
	return durable.SyncDirectory(filepath.Dir(path))
}

// publish gives a file its name. Without force it returns fs.ErrExist if the name is taken, which only a link finds out
// without a gap.
func publish(part, path string, force bool) error {
	if force {
		return os.Rename(part, path)
	}

	err := os.Link(part, path)
	switch {
	case err == nil:
		return os.Remove(part)
	case errors.Is(err, fs.ErrExist):
		return &fs.PathError{Op: "write to", Path: path, Err: fs.ErrExist}
	}

	// The file system may have no links.
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return &fs.PathError{Op: "write to", Path: path, Err: fs.ErrExist}
	}
	return os.Rename(part, path)
}

// partSuffix ends the names of temporary files. The temporary file beside FILE is .FILE.TAG.RANDOM.part, where
// TAG identifies the process that writes it.
const partSuffix = ".part"

func partPrefix(path string) string {
	directory, name := filepath.Split(filepath.Clean(path))
	return filepath.Join(directory, "."+name+".")
}

// removeDeadParts removes the temporary files of a path whose processes are known to be gone.
func removeDeadParts(path string) error {
	beside, err := os.ReadDir(filepath.Dir(filepath.Clean(path)))
	if err != nil {
		// The file can't be written either, and that error says why.
		return nil
	}

	prefix := partPrefix(path)
	for _, entry := range beside {
		part := filepath.Join(filepath.Dir(prefix), entry.Name())
		tag, isPart := strings.CutPrefix(part, prefix)
		tag, ends := strings.CutSuffix(tag, partSuffix)

		if end := strings.LastIndexByte(tag, '.'); isPart && ends && end > 0 && presence.IsGone(tag[:end]) {
			if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}
