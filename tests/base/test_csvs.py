"""A table is read as it was written, or there is a sentence; nothing of it is lost in silence."""

import gzip

import pytest

from src.base import csvs
from src.base.errors import UserError


class TestTables:
    CELLS = [["007", "oak"], ["8", "Bärlauch"]]

    def read(self, folder, content, name="a.csv"):
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return csvs.read_csv(path)

    @pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
    def test_are_read_whatever_parts_their_cells(self, tmp_path, mark, encoding):
        text = f"id{mark}label\r\n" + "".join(mark.join(row) + "\r\n" for row in self.CELLS)
        df = self.read(tmp_path, text.encode(encoding))
        assert df.to_numpy().tolist() == self.CELLS
        assert df.columns.tolist() == ["id", "label"]
        assert df.attrs["passed_over"] == []

    @pytest.mark.parametrize(
        ("text", "cells"),
        [
            ("id,tags\n1,a;b\n2,c|d\n", [["1", "a;b"], ["2", "c|d"]]),
            ('id;label\n1;"oak; old"\n2;ash, red\n', [["1", "oak; old"], ["2", "ash, red"]]),
            ("sep=;\nid;label\n1;oak\n", [["1", "oak"]]),
            (
                "id\tlabel\tname, first\n1\toak\tQuercus, L.\n2\tash\tz\n",
                [["1", "oak", "Quercus, L."], ["2", "ash", "z"]],
            ),
            ("id\tlabel\n1\toak, red\n", [["1", "oak, red"]]),
            ("id;label;size, mm\n1;oak;3,5\n2;ash;4,5\n", [["1", "oak", "3,5"], ["2", "ash", "4,5"]]),
            ("id;label, or none;size, mm\n1;oak;3,5\n", [["1", "oak", "3,5"]]),
            ("id;label\n1,5;oak\n", [["1,5", "oak"]]),
            ("id,label;kind\n1,a;b\n2,c;d\n", [["1", "a;b"], ["2", "c;d"]]),
            ("id,label\n1,a;b\n2,c\n", [["1", "a;b"], ["2", "c"]]),
            ("name\na\nb\n", [["a"], ["b"]]),
            ("\tlabel\n0\toak\n", [["0", "oak"]]),
            ('"id"\t"label"\r1\toak\r', [["1", "oak"]]),
        ],
    )
    def test_a_mark_inside_a_cell_parts_nothing(self, tmp_path, text, cells):
        assert self.read(tmp_path, text).to_numpy().tolist() == cells

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("id,label,,\n1,oak,,\n,,,\n2,ash,,\n,,,\n", ["2 empty columns", "2 empty rows"]),
            ("id,label\n1,oak,\n2,ash,,\n", ["2 empty columns"]),
            ("id,label,\n1,oak,\n2,ash,,\n", ["2 empty columns"]),
            ("id,label\n1,oak\n2,ash,\n , \n", ["1 empty column", "1 empty row"]),
            ("id;label;\n1;oak;\n2;ash;\n;;\n", ["1 empty column", "1 empty row"]),
        ],
    )
    def test_empty_rows_and_columns_are_passed_over_and_counted(self, tmp_path, text, said):
        df = self.read(tmp_path, text)
        assert df.to_dict("list") == {"id": ["1", "2"], "label": ["oak", "ash"]}
        assert df.attrs["passed_over"] == said

    def test_an_unnamed_column_with_cells_stays(self, tmp_path):
        assert self.read(tmp_path, ",label\na,oak\nb,ash\n").iloc[:, 0].tolist() == ["a", "b"]

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (
                "id,label\n1,Rome\n2,Washington, D.C.\n3,a,b,c\n",
                "2 rows with more cells than the header (2), the first in line 3",
            ),
            ("id,label\n1,Washington, D.C.\n2,Paris, F.\n", "the first in line 2 (3: '1,Washington, D.C.')"),
            ("id;label\n1;a;b\n", "put quotes around a cell that has ';' in it"),
            ("id,label\n1,Bärlauch\n".encode("latin-1"), "is not UTF-8 text (invalid continuation byte in line 2)"),
            ("id,label\n1,oak\n".encode("utf-16-le"), "has NUL characters"),
            (b"\xff\xfei", "is not UTF-16 text"),
            ("label,label \na,b\n", "has the column 'label' twice"),
            ('id,label\n1,"oak\n', "is not a CSV table: line 2"),
            ('id,label\n1,"oak\n' + "2,ash\n" * 40_000, "is a quote opened and not closed?"),
            ('id,"label\n' + "2,ash\n" * 40_000, "is a quote opened and not closed?"),
        ],
    )
    def test_what_cannot_be_read_rightly_is_refused(self, tmp_path, content, said):
        with pytest.raises(UserError) as error:
            self.read(tmp_path, content)
        assert said in str(error.value)

    def test_may_be_packed(self, tmp_path):
        assert self.read(tmp_path, gzip.compress(b"id,label\n1,oak\n"), "a.csv.gz").to_numpy().tolist() == [
            ["1", "oak"]
        ]

    @pytest.mark.parametrize("ending", [".gz", ".bz2", ".xz", ".zip"])
    def test_is_refused_where_it_is_not_packed_as_it_is_called(self, tmp_path, ending):
        with pytest.raises(UserError, match=f"a.csv{ending} cannot be read as its ending says"):
            self.read(tmp_path, b"id,label\n1,oak\n", f"a.csv{ending}")

    def test_is_refused_where_it_is_not_whole(self, tmp_path):
        with pytest.raises(UserError, match=r"cannot be read as its ending says .Compressed file ended"):
            self.read(tmp_path, gzip.compress(b"id,label\n1,oak\n")[:-9], "a.csv.gz")

    def test_is_refused_where_it_is_a_folder(self, tmp_path):
        (tmp_path / "train.csv").mkdir()
        with pytest.raises(UserError, match=r"train.csv cannot be read: Is a directory"):
            csvs.read_csv(tmp_path / "train.csv")


@pytest.mark.parametrize("header", ["id,label,label", "id, label ,label", "\nid;label;label", '"label",id,label'])
def test_two_columns_of_one_name_are_refused_as_nobody_knows_which_is_meant(tmp_path, header):
    mark = ";" if ";" in header else ","
    (tmp_path / "train.csv").write_text(f"{header}\n{mark.join('abc')}\n")
    with pytest.raises(UserError, match="has the column 'label' twice: rename one of them"):
        csvs.read_csv(tmp_path / "train.csv")
