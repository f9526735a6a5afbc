package mirror

// SetPage makes listings come in pages of so many names, as those of large buckets do.
func (s *S3) SetPage(n int32) { s.page = &n }
