//go:build unix && !linux

package source

const openHandle = openDirectory
