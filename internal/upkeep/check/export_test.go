package check

// Remedy is what repair does about a problem.
var Remedy = remedy
