// Package cross holds what concerns all folders: the rules between them, as
// tests, and the scripts that check, build and package everything for every
// target.
package cross
