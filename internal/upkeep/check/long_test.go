//go:build long

package check_test

// healSeeds is the number of random damages to each pair of stores, unless the environment says another.
const healSeeds = 5

// lossStride is the distance of the steps at which a store is lost, unless the environment says another.
const lossStride = 11
