// Package sizes adds up what the files of an upload take, by type and by directory.
package sizes

import (
	"cmp"
	"iter"
	"path"
	"slices"
	"strings"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// Size is what the files of one kind take.
type Size struct {
	// Name is an extension such as ".jpg", or a directory. It is empty for files without an extension, or at the top.
	Name         string
	Files, Bytes int64
}

// File is one file.
type File struct {
	Path  sqlrepo.Path
	Bytes int64
}

// Sizes are those of an upload. Each list begins with the largest and has at most as many elements as were asked for.
type Sizes struct {
	Files, Bytes int64
	// TakenFiles and TakenBytes count the files whose content an earlier upload had, which was not read again.
	TakenFiles, TakenBytes int64
	Types, Directories     []Size
	Largest                []File
	// MoreTypes and MoreDirectories count those that the lists have no room for.
	MoreTypes, MoreDirectories int
}

// Limits say how much is told.
type Limits struct {
	// Depth is the number of names in the paths of directories. What is further below counts for them.
	Depth int
	// Elements is the largest number of elements of a list.
	Elements int
}

// mostNames limits the memory that names take. Files of further names count for the name Others.
const mostNames = 100_000

// Others is the name of all types or directories beyond a limit of memory.
const Others = "..."

// Of adds up the files of an upload, whose entries are in canonical order.
func Of(entries iter.Seq2[sqlrepo.Listed, error], limits Limits) (*Sizes, error) {
	s := &Sizes{}
	types, directories := map[string]*Size{}, map[string]*Size{}
	for entry, err := range entries {
		if err != nil {
			return nil, err
		}
		if entry.Kind != sqlrepo.File {
			continue
		}

		s.Files++
		s.Bytes += entry.Size
		if entry.Origin != 0 {
			s.TakenFiles++
			s.TakenBytes += entry.Size
		}
		add(types, extension(entry.Path.Name()), entry.Size)
		add(directories, above(entry.Path, limits.Depth), entry.Size)
		s.addLargest(File{entry.Path, entry.Size}, limits.Elements)
	}

	s.Types, s.Directories = largest(types, limits.Elements), largest(directories, limits.Elements)
	s.MoreTypes, s.MoreDirectories = len(types)-len(s.Types), len(directories)-len(s.Directories)
	return s, nil
}

func add(sizes map[string]*Size, name string, bytes int64) {
	size := sizes[name]
	if size == nil && len(sizes) >= mostNames {
		name = Others
		size = sizes[name]
	}
	if size == nil {
		size = &Size{Name: name}
		sizes[name] = size
	}
	size.Files++
	size.Bytes += bytes
}

// extension returns what follows the last dot of a name, in lower case. A name that only begins with a dot has none.
func extension(name string) string {
	ext := path.Ext(name)
	if ext == name || ext == "." {
		return ""
	}
	return strings.ToLower(ext)
}

// above returns the directory of a file, with at most depth names.
func above(file sqlrepo.Path, depth int) string {
	names := strings.Split(string(file.Parent()), "\x00")
	return strings.Join(names[:min(len(names), depth)], "/")
}

func largest(sizes map[string]*Size, elements int) []Size {
	list := []Size{}
	for _, size := range sizes {
		list = append(list, *size)
	}
	slices.SortFunc(list, func(a, b Size) int {
		return cmp.Or(-cmp.Compare(a.Bytes, b.Bytes), -cmp.Compare(a.Files, b.Files), strings.Compare(a.Name, b.Name))
	})
	return list[:min(len(list), elements)]
}

// addLargest keeps a file if it is one of the largest. The first of equals stays.
func (s *Sizes) addLargest(file File, elements int) {
	at, _ := slices.BinarySearchFunc(s.Largest, file, func(kept, file File) int {
		if kept.Bytes >= file.Bytes {
			return -1
		}
		return 1
	})
	if at >= elements {
		return
	}
	s.Largest = slices.Insert(s.Largest, at, file)
	s.Largest = s.Largest[:min(len(s.Largest), elements)]
}
