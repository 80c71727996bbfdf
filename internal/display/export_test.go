package display

// FailBars ends the program that shows the bars as an error does, and waits for its end.
func (s *Screen) FailBars() {
	s.shown.Kill()
	<-s.shown.gone
}
