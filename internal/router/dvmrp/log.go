package dvmrp

import (
	"context"
	"log/slog"
	"time"
)

// seldom holds back lines of the log that come too often.
type seldom struct {
	since time.Duration // when the first one of this interval was written
	lines int           // how many were since
	left  uint64        // how many were left out since the last one
}

// allow reports whether a line may be written, of so many in alarmInterval, and how
// many were left out since the last one.
func (s *seldom) allow(now time.Duration, most int) (left uint64, ok bool) {
	if s.lines == 0 || now-s.since >= alarmInterval {
		s.since, s.lines = now, 0
	}
	if s.lines >= most {
		s.left++
		return 0, false
	}
	s.lines++
	left, s.left = s.left, 0
	return left, true
}

// write logs a line that is allowed.
func (s *seldom) write(now time.Duration, most int, log *slog.Logger, level slog.Level, message string, attrs []any) {
	left, ok := s.allow(now, most)
	if !ok {
		return
	}
	if left > 0 {
		attrs = append(attrs, "left_out", left)
	}
	log.Log(context.Background(), level, message, attrs...)
}

// Alarms.
const (
	neighborsAlarm = iota
	routesAlarm
	addressAlarm
	alarms
)

// alarm logs an error, and not again for some time.
func (p *Protocol) alarm(which int, log *slog.Logger, message string, attrs ...any) {
	p.alarms[which].write(p.now, 1, log, slog.LevelError, message, attrs)
}

// What is logged of the neighbours on a link.
const (
	heardLog = iota
	upLog
	lostLog
	restartLog
	oneWayLog
	tooOldLog
	linkLogs
)

// logLink logs what has happened to a neighbour on a link, if not too much of the
// kind happens there.
func (p *Protocol) logLink(l *link, which int, level slog.Level, message string, attrs ...any) {
	l.lines[which].write(p.now, linkLines, p.env.Log.Neighbors, level, message, append([]any{"interface", l.Name}, attrs...))
}
