import {
  alias,
  array,
  BOOL,
  CHAR,
  fn,
  INT,
  LONG,
  names,
  pointer,
  struct,
  UINT,
  ULONG,
  union,
  USHORT,
  VOID,
} from "./types.js";

/** Types like those that vfs_read has in a kernel, smaller. */

export const DENTRY = struct("dentry", () => [
  ["d_parent", pointer(DENTRY)],
  ["d_name", array(CHAR, 16)],
  ["d_inode", pointer(INODE)],
]);
const INODE = struct("inode", [
  ["i_mode", USHORT],
  [
    "",
    union("", [
      ["i_ino", ULONG],
      ["i_low", UINT],
    ]),
  ],
  ["i_sizes", array(INT, 4)],
]);
export const FILE = struct("file", [
  ["f_flags", UINT],
  [
    "f_path",
    struct("path", [
      ["mnt", pointer(VOID)],
      ["dentry", pointer(DENTRY)],
    ]),
  ],
  ["f_a", UINT, 3],
  ["f_b", INT, 5],
  ["f_c", BOOL, 1],
  ["f_pos", alias("loff_t", LONG)],
]);
export const READ = fn(alias("ssize_t", LONG), {
  file: pointer(FILE),
  buf: pointer(CHAR),
  count: alias("size_t", ULONG),
  pos: pointer(alias("loff_t", LONG)),
});
export const TYPES = names(FILE, DENTRY, INODE);
