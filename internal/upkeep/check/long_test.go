//go:build long

package check_test

// healSeeds is the number of random damages to two stores.
const healSeeds = 50
