// Package durable makes directories and files that survive a loss of power. Syncing a file is not enough: the
// directory that names the file must be synced too, and so must that directory's parent.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// MakeDirectory makes a directory and its missing parents. When it returns, each directory it made is durable. It
// returns syscall.ENOTDIR if the path is something else.
func MakeDirectory(path string, perm fs.FileMode) error {
	return syncer((*os.File).Sync).makeDirectory(filepath.Clean(path), perm)
}

// CreateFile makes a file that is durable under its name when CreateFile returns. It returns fs.ErrExist if the
// name is taken. After any other failure it leaves no file.
func CreateFile(path string, content []byte, perm fs.FileMode) error {
	return syncer((*os.File).Sync).createFile(path, content, perm)
}

// PublishFile makes a file that nobody sees partly written. The file is durable under its name when PublishFile
// returns. It returns fs.ErrExist if the name is taken: of several processes on any hosts, one makes the file. A
// process that dies leaves a draft of the file, which anybody may remove. See IsDraft.
func PublishFile(path string, content []byte, perm fs.FileMode) error {
	return syncer((*os.File).Sync).publishFile(path, content, perm)
}

// draftInfix follows the name of the published file in the name of its draft.
const draftInfix = ".new-"

// IsDraft reports whether name is the name that PublishFile gives a draft of the file named final. It is safe to
// remove a draft: a process that still needs one makes another.
func IsDraft(name, final string) bool {
	digits, ok := strings.CutPrefix(name, final+draftInfix)
	return ok && digits != "" && strings.Trim(digits, "0123456789") == ""
}

// SyncDirectory makes the names in a directory durable.
func SyncDirectory(path string) error {
	return syncer((*os.File).Sync).directory(path)
}

// SyncRoot makes the names in an open directory durable.
func SyncRoot(root *os.Root) error {
	directory, err := root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(directory.Sync(), directory.Close())
}

// syncer makes the content of an open file or directory durable.
type syncer func(*os.File) error

func (sync syncer) makeDirectory(path string, perm fs.FileMode) error {
	if err := checkDirectory(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}

	parent := filepath.Dir(path)
	if parent == path {
		return fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}

	if err := sync.makeDirectory(parent, perm); err != nil {
		return err
	}
	if err := os.Mkdir(path, perm); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}

	// Another process may have just made the directory without syncing it yet.
	if err := checkDirectory(path); err != nil {
		return err
	}
	return sync.directory(parent)
}

func (sync syncer) createFile(path string, content []byte, perm fs.FileMode) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}

	_, err = file.Write(content)
	err = errors.Join(err, sync(file), file.Close())
	if err == nil {
		err = sync.directory(filepath.Dir(path))
	}

	if err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// mostDrafts bounds how often a draft is made again because somebody removed it.
const mostDrafts = 20

// publishFile names a complete file by linking it: unlike a rename, a link fails if the name is taken.
func (sync syncer) publishFile(path string, content []byte, perm fs.FileMode) (err error) {
	for range mostDrafts {
		if err = sync.publishDraft(path, content, perm); !isGone(err) {
			break
		}
	}

	if err != nil {
		return err
	}
	return sync.directory(filepath.Dir(path))
}

// isGone reports whether a file no longer exists. On a file server, an open file is stale after another host
// removed it.
func isGone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESTALE) }

func (sync syncer) publishDraft(path string, content []byte, perm fs.FileMode) error {
	directory, name := filepath.Split(path)
	file, err := CreateTemp(filepath.Clean(directory), name+draftInfix+"*", perm)
	if err != nil {
		return err
	}

	_, err = file.Write(content)
	err = errors.Join(err, sync(file), file.Close())
	if err == nil {
		err = os.Link(file.Name(), path)
		if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrPermission) {
			err = sync.createFile(path, content, perm) // the file system has no links
		}
	}

	// Somebody else may have removed the draft: nothing is lost by that.
	if removed := os.Remove(file.Name()); !isGone(removed) {
		err = errors.Join(err, removed)
	}
	return err
}

func (sync syncer) directory(path string) error {
	directory, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(sync(directory), directory.Close())
}

func checkDirectory(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "use", Path: path, Err: syscall.ENOTDIR}
	}
	return err
}
