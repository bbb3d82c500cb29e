// SPDX-License-Identifier: MIT
//
// Purpose     The programs of bench/peers.py in Java: churn SECONDS ENTRIES, trees DEPTH.
final class Peer {
  static final class Node {
    byte[] leaf;
  }

  static final class Tree {
    Tree left, right;
  }

  static final int ROW = 512;
  static final int[] LEAF = {16, 24, 32, 48, 96, 128, 256, 512};
  static long state = 88172645463325252L;

  static int below(int n) {
    state ^= state << 13;
    state ^= state >>> 7;
    state ^= state << 17;
    return (int) (((state >>> 32) * n) >>> 32);
  }

  static byte[] leaf() {
    byte[] made = new byte[LEAF[below(8)] - 8];
    made[0] = 1;
    return made;
  }

  static Node node() {
    Node made = new Node();
    made.leaf = leaf();
    return made;
  }

  static void churn(double seconds, int entries) {
    Node[][] table = new Node[Math.max(1, entries / ROW)][ROW];
    for (Node[] row : table) {
      for (int c = 0; c < ROW; ++c) {
        row[c] = node();
      }
    }
    long operations = 0, longest = 0, over = 0;
    long begin = System.nanoTime(), last = begin, end = begin + (long) (seconds * 1e9);
    while (last < end) {
      int r = below(table.length), c = below(ROW), kind = below(4);
      if (kind < 2) {
        table[r][c] = node();
      } else if (kind == 2) {
        table[r][c].leaf = leaf();
      } else {
        int r2 = below(table.length), c2 = below(ROW);
        Node one = table[r][c];
        table[r][c] = table[r2][c2];
        table[r2][c2] = one;
      }
      ++operations;
      long now = System.nanoTime();
      if (now - last > longest) {
        longest = now - last;
      }
      if (now - last >= 100_000) {
        ++over;
      }
      last = now;
    }
    System.out.printf("{\"ns_per_operation\": %.3f, \"longest_us\": %.1f, \"over_100us\": %d}%n",
        (double) (last - begin) / operations, longest / 1e3, over);
  }

  static Tree make(int depth) {
    Tree tree = new Tree();
    if (depth > 0) {
      tree.left = make(depth - 1);
      tree.right = make(depth - 1);
    }
    return tree;
  }

  static long check(Tree tree) {
    return tree.left == null ? 1 : 1 + check(tree.left) + check(tree.right);
  }

  static void trees(int depth) {
    long sum = check(make(depth + 1));
    Tree kept = make(depth);
    for (int d = 4; d <= depth; d += 4) {
      for (long i = 1L << (depth - d + 4); i > 0; --i) {
        sum += check(make(d));
      }
    }
    System.out.println(sum + check(kept));
  }

  public static void main(String[] words) {
    if (words[0].equals("churn")) {
      churn(Double.parseDouble(words[1]), Integer.parseInt(words[2]));
    } else {
      trees(Integer.parseInt(words[1]));
    }
  }
}
