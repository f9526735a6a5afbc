package evidence

// Bounds of a bundle. Who exports is told to ask for less, who verifies refuses more.
const (
	MaxEvents    = 100_000 // in one bundle
	MaxDocuments = 100_000
	MaxBundle    = 4 << 30 // bytes of all files, unpacked
)
