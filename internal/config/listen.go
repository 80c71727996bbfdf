package config

import (
	"net"
	"strconv"
)

// isListen accepts HOST:PORT, where HOST may be empty.
func isListen(s string) bool {
	_, port, err := net.SplitHostPort(s)
	if err != nil || !isPlain(s) {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}
