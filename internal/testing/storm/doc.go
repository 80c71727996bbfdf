// Package storm has processes of the built program share one space while everything around them fails: it is the proof
// that nothing is lost, and nothing is claimed that is not so. It has tests alone, for Linux.
package storm
