//go:build !unix

package retrieve

import "errors"

// put writes a file under one name and then gives it another.
func (d *directory) put(part, name string, content []byte, meta *metadata) error {
	out, err := d.create(part)
	if err != nil {
		return err
	}
	_, err = out.Write(content)
	err = errors.Join(err, out.Close())
	if err == nil {
		err = meta.restore(d.root, part)
	}
	if err == nil {
		err = d.root.Rename(part, name)
	}
	if err != nil {
		err = errors.Join(err, d.root.Remove(part))
	}
	return err
}

// restoreSymlink leaves a symlink with the time at which it was made.
func (*directory) restoreSymlink(string, *metadata) error { return nil }
