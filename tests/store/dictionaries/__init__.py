"""A third store, of plain dictionaries: shows that nothing above `store/` knows the other two.

It keeps every promise of the contract and is no stand-in: nothing is tested by it alone. Whoever
writes a store for another database finds here the least that there is to write.
"""
