// Package bytesize writes numbers of bytes as people read them. It reads none: settings have a reader of their own.
package bytesize

import "fmt"

// Text gives a number of bytes in powers of 1024, with at most three digits before the point: "512 B", "1.5 KiB", "-2.0 GiB".
func Text(n int64) string {
	if n < 1024 && n > -1024 {
		return fmt.Sprintf("%d B", n)
	}
	value, units := float64(n)/1024, "KMGTPE"
	for (value >= 999.95 || value <= -999.95) && len(units) > 1 {
		value, units = value/1024, units[1:]
	}
	return fmt.Sprintf("%.1f %ciB", value, units[0])
}
