// Package durable makes directories and files that outlive a loss of power. A file that is synced is of no use while
// the directory that names it is not, nor is that one while its own parent is not.
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

// MakeDirectory makes a directory and those above it that are missing. It returns once each one made is durable. It
// returns syscall.ENOTDIR for a path that is something else.
func MakeDirectory(path string, perm fs.FileMode) error {
	return syncer((*os.File).Sync).makeDirectory(filepath.Clean(path), perm)
}

// CreateFile makes a file that is durable under its name when it returns. It returns fs.ErrExist when the name is
// taken; whatever else fails leaves no file.
func CreateFile(path string, content []byte, perm fs.FileMode) error {
	return syncer((*os.File).Sync).createFile(path, content, perm)
}

// PublishFile makes a file that nobody sees half written, durable under its name when it returns. It returns
// fs.ErrExist when the name is taken: of several processes on any hosts, one makes the file. A process that dies leaves
// a draft of it, which anybody may remove: see IsDraft.
func PublishFile(path string, content []byte, perm fs.FileMode) error {
	return syncer((*os.File).Sync).publishFile(path, content, perm)
}

// draftInfix follows the name of the file that a draft is for.
const draftInfix = ".new-"

// IsDraft reports whether a name is that of a draft of PublishFile for the file of this name. Who removes one does no
// harm: a process that still needs it makes another.
func IsDraft(name, of string) bool {
	digits, ok := strings.CutPrefix(name, of+draftInfix)
	return ok && digits != "" && strings.Trim(digits, "0123456789") == ""
}

// SyncDirectory makes durable which names a directory has.
func SyncDirectory(path string) error {
	return syncer((*os.File).Sync).directory(path)
}

// syncer makes what was written to an open file or directory durable.
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
	// Another process may have made it a moment ago and not synced it yet.
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

// mostDrafts bounds how often a draft is made again that somebody has removed.
const mostDrafts = 20

// publishFile gives a whole file its name by a link, which unlike a rename fails when the name is taken.
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

// isGone reports whether a file is no longer there. On a file server, an open file that another host has removed is
// stale.
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
