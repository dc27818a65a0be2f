package backup

import "strings"

// rowsMethod marks, in a manifest, the sums that dbdump takes of a table's rows as they stand in the dump.
const rowsMethod = "rows:"

func manifestSum(sum string) string {
	if sum == "" {
		return ""
	}
	return rowsMethod + sum
}

// recordedSum returns the sum that manifestSum was given; empty for one that was taken in another way.
func recordedSum(recorded string) string {
	sum, ok := strings.CutPrefix(recorded, rowsMethod)
	if !ok {
		return ""
	}
	return sum
}
