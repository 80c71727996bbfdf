package config

import (
	"net/netip"
	"regexp"
	"slices"
	"strconv"
)

// Kubernetes sets such variables in each container for every Service of its namespace, as docker's links did
// before. The variables of a Service called guppy, or guppy-something, begin like settings. See
// https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables.
var (
	serviceHost = regexp.MustCompile(`_SERVICE_HOST$`)
	servicePort = regexp.MustCompile(`_SERVICE_PORT(_[A-Z0-9_]+)?$`)
	linkURL     = regexp.MustCompile(`_PORT(_[0-9]+_(TCP|UDP|SCTP))?$`)
	linkPart    = regexp.MustCompile(`_PORT_[0-9]+_(TCP|UDP|SCTP)_(PROTO|PORT|ADDR)$`)

	linkValue = regexp.MustCompile(`^(tcp|udp|sctp)://(.+):([0-9]+)$`)
)

var protocols = []string{"tcp", "udp", "sctp"}

// isServiceLink reports whether a variable has both the name and the value of one that describes a Service. A
// setting with a misspelt name has at most one of them.
func isServiceLink(name, value string) bool {
	part := linkPart.FindStringSubmatch(name)
	switch {
	case part != nil && part[2] == "PROTO":
		return slices.Contains(protocols, value)
	case part != nil && part[2] == "PORT", servicePort.MatchString(name):
		return isPort(value)
	case part != nil, serviceHost.MatchString(name):
		return isAddress(value)
	case linkURL.MatchString(name):
		link := linkValue.FindStringSubmatch(value)
		return link != nil && isAddress(link[2]) && isPort(link[3])
	}
	return false
}

func isPort(value string) bool {
	port, err := strconv.ParseUint(value, 10, 16)
	return err == nil && port > 0
}

// isAddress reports whether value is an IP address, with or without brackets, or the "None" of a Service without
// an address.
func isAddress(value string) bool {
	if len(value) > 1 && value[0] == '[' && value[len(value)-1] == ']' {
		value = value[1 : len(value)-1]
	}
	_, err := netip.ParseAddr(value)
	return err == nil || value == "None"
}
