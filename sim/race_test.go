//go:build race

package sim

// raceDetector makes the longest tests shorter.
const raceDetector = true
