//go:build !long

package check_test

// healSeeds is the number of random damages to each pair of stores, unless the environment says another.
const healSeeds = 2
