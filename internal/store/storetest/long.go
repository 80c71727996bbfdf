//go:build long

package storetest

// lossStride is the distance of the steps at which a store is lost, unless the environment says another.
const lossStride = 11
