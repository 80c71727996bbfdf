package unixfs

import "google.golang.org/protobuf/encoding/protowire"

// Every field number of dag-pb and UnixFS is below 16, so each tag takes one byte.
const (
	bytesField  = byte(protowire.BytesType)
	varintField = byte(protowire.VarintType)

	nodeData  = 1<<3 | bytesField
	nodeLinks = 2<<3 | bytesField

	linkHash  = 1<<3 | bytesField
	linkName  = 2<<3 | bytesField
	linkTsize = 3<<3 | varintField

	fsType       = 1<<3 | varintField
	fsData       = 2<<3 | bytesField
	fsFileSize   = 3<<3 | varintField
	fsBlockSizes = 4<<3 | varintField
	fsHashType   = 5<<3 | varintField
	fsFanout     = 6<<3 | varintField
)

// UnixFS node types.
const (
	typeDirectory = 1
	typeFile      = 2
	typeSymlink   = 4
	typeHAMT      = 5
)

// linkSize returns the encoded size of a link's fields.
func linkSize(cid, name int, tsize uint64) int {
	return 3 + protowire.SizeBytes(cid) + protowire.SizeBytes(name) + protowire.SizeVarint(tsize)
}

// appendLink appends one entry of a node's Links. The name is written unchanged, whether or not it is valid UTF-8.
func appendLink[C, N string | []byte](dst []byte, cid C, name N, tsize uint64) []byte {
	dst = append(dst, nodeLinks)
	dst = protowire.AppendVarint(dst, uint64(linkSize(len(cid), len(name), tsize)))
	dst = appendBytes(dst, linkHash, cid)
	dst = appendBytes(dst, linkName, name)
	return appendVarint(dst, linkTsize, tsize)
}

// appendData appends a node's Data. In dag-pb, Data follows the links.
func appendData(dst, data []byte) []byte {
	return appendBytes(dst, nodeData, data)
}

func appendBytes[B string | []byte](dst []byte, tag byte, b B) []byte {
	dst = protowire.AppendVarint(append(dst, tag), uint64(len(b)))
	return append(dst, b...)
}

func appendVarint(dst []byte, tag byte, v uint64) []byte {
	return protowire.AppendVarint(append(dst, tag), v)
}

func directoryData() []byte {
	return []byte{fsType, typeDirectory}
}

func symlinkData(target []byte) []byte {
	return appendBytes([]byte{fsType, typeSymlink}, fsData, target)
}

// fileData returns the Data of an interior file node. blockSizes is a sequence of encoded fsBlockSizes fields.
func fileData(size uint64, blockSizes []byte) []byte {
	return append(appendVarint([]byte{fsType, typeFile}, fsFileSize, size), blockSizes...)
}

func hamtData(bitfield []byte) []byte {
	data := appendBytes([]byte{fsType, typeHAMT}, fsData, bitfield)
	data = appendVarint(data, fsHashType, murmur3x64)
	return appendVarint(data, fsFanout, hamtFanout)
}
