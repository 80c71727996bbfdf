// Package storm lets processes of the built program share one space while everything around them fails. It proves
// that nothing is lost and that nothing false is claimed. It has only tests, and only for Linux.
package storm
