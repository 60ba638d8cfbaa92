package render

import (
	"bytes"
	"io"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"

	"mbone/report"
)

// column is a column of a table.
type column struct {
	title string
	right bool // numbers stand on the right
}

// table writes rows under their titles, without borders, wrapping or trailing
// spaces. It is the only user of the table library.
func table(w io.Writer, columns []column, rows [][]string) error {
	titles := make([]string, len(columns))
	align := make([]tw.Align, len(columns))
	for i, c := range columns {
		titles[i], align[i] = c.title, tw.AlignLeft
		if c.right {
			align[i] = tw.AlignRight
		}
	}
	var b bytes.Buffer
	between := tw.CellPadding{Global: tw.Padding{Right: "  ", Overwrite: true}}
	cells := tw.CellConfig{
		Alignment:  tw.CellAlignment{Global: tw.AlignLeft, PerColumn: align},
		Formatting: tw.CellFormatting{AutoWrap: tw.WrapNone, AutoFormat: tw.Off},
		Padding:    between,
	}
	t := tablewriter.NewTable(&b,
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{
			Borders: tw.BorderNone,
			Settings: tw.Settings{
				Lines:      tw.LinesNone,
				Separators: tw.SeparatorsNone,
			},
		})),
		tablewriter.WithConfig(tablewriter.Config{Header: cells, Row: cells}),
	)
	t.Header(titles)
	for _, row := range rows {
		clean := make([]string, len(row))
		for i, cell := range row {
			clean[i] = report.Printable(cell)
		}
		if err := t.Append(clean); err != nil {
			return err
		}
	}
	if err := t.Render(); err != nil {
		return err
	}
	for line := range bytes.Lines(b.Bytes()) {
		if _, err := w.Write(append(bytes.TrimRight(line, " \n"), '\n')); err != nil {
			return err
		}
	}
	return nil
}
